import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type CommandResult, runCommand } from "./slipway.ts";

/** Debian's docker engine, running on a socket and a data directory of its own. */
export interface RunningDocker extends AsyncDisposable {
  /** For DOCKER_HOST. */
  readonly socket: string;
  /** The daemon's. */
  readonly pid: number;
  /** Runs Debian's `docker` client against it; throws with its output when it fails. */
  run(args: readonly string[], input?: string | Uint8Array): Promise<CommandResult>;
}

const DAEMON = "/usr/sbin/dockerd";
/** A machine may have a newer client in front of it. */
const CLIENT = "/usr/bin/docker";

/** For `test(name, { skip: dockerMissing })`: false, or the reason why the engine cannot be started. */
export const dockerMissing: string | false =
  process.getuid?.() !== 0
    ? "needs root"
    : !existsSync(DAEMON) && "docker is missing (apt-get install docker.io)";

export interface DockerOptions {
  /** `vfs` unpacks a layer onto a copy of all below it; the engine's own choice when absent. */
  readonly storageDriver?: "vfs";
}

/** Starts the engine, without any network of its own; disposing ends it and removes what it made. */
export async function startDocker({ storageDriver }: DockerOptions = {}): Promise<RunningDocker> {
  // The path of a socket has at most 107 bytes.
  const work = await mkdtemp(join(tmpdir(), "sw-docker-"));
  const socket = `unix://${join(work, "docker.sock")}`;
  const logPath = join(work, "log");
  const log = await open(logPath, "w");
  const daemon = spawn(
    DAEMON,
    [
      ...[
        "--data-root",
        join(work, "data"),
        "--exec-root",
        join(work, "exec"),
        "--pidfile",
        join(work, "docker.pid"),
      ],
      ...["--host", socket, "--bridge=none", "--iptables=false", "--ip6tables=false"],
      ...(storageDriver === undefined ? [] : ["--storage-driver", storageDriver]),
    ],
    { stdio: ["ignore", log.fd, log.fd] },
  );
  const exited = once(daemon, "exit");
  const dispose = async () => {
    daemon.kill("SIGTERM");
    await exited;
    await log.close();
    await rm(work, { recursive: true, force: true });
  };
  const client = (args: readonly string[], input?: string | Uint8Array) =>
    runCommand(CLIENT, ["--host", socket, ...args], { input });
  for (let round = 0; (await client(["version"])).code !== 0; round++) {
    if (round > 100 || daemon.exitCode !== null) {
      const text = await readFile(logPath, "utf8");
      await dispose();
      throw new Error(`dockerd does not start:\n${text}`);
    }
    await sleep(100);
  }
  return {
    socket,
    pid: daemon.pid!,
    async run(args, input) {
      const result = await client(args, input);
      if (result.code === 0) return result;
      throw new Error(
        `docker ${args.join(" ")} ended with ${result.code}:\n${result.stdout}${result.stderr}`,
      );
    },
    [Symbol.asyncDispose]: dispose,
  };
}
