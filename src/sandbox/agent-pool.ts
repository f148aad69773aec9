import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants, openSync } from "node:fs";
import type { SshAgent } from "./holder-protocol.ts";

/** The ssh agents of a build: those of the user, and our own for keys. */
export interface AgentPool {
  /** The path of the agent's socket. One of our own is started when it is first asked for, and ends with the holder. */
  open(agent: SshAgent): Promise<string>;
}

/** A socket's path has at most 107 bytes, so it is named by its open directory, and by programs from within it. */
export function openSocketDirectory(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
}

/** For the process that opened the directory. */
export function socketPath(directory: number, name: string): string {
  return `/proc/self/fd/${directory}/${name}`;
}

const START_MS = 10_000;

export function makeAgentPool(directory: string): AgentPool {
  const started = new Map<string, Promise<string>>();
  let opened: number | undefined;
  return {
    async open(agent) {
      if (agent.kind === "socket") return agent.path;
      const key = JSON.stringify(agent.paths);
      let starting = started.get(key);
      if (starting === undefined) {
        starting = startAgent(directory, `agent-${started.size}`, agent.paths);
        started.set(key, starting);
      }
      opened ??= openSocketDirectory(directory);
      return socketPath(opened, await starting);
    },
  };
}

/** OpenSSH's own programs: they read every form of key. */
async function startAgent(directory: string, name: string, keyPaths: readonly string[]): Promise<string> {
  const agent = spawn("ssh-agent", ["-D", "-a", name], {
    stdio: ["ignore", "pipe", "ignore"],
    cwd: directory,
  });
  // It prints the socket's name once it listens; the file alone is there a moment earlier.
  const listens = once(agent.stdout, "data", { signal: AbortSignal.timeout(START_MS) });
  const ends = once(agent, "exit").then(() => {
    throw new Error("it ended");
  });
  ends.catch(() => {});
  try {
    await Promise.race([listens, ends]);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT")
      throw new Error("there is no ssh-agent on this machine (apt-get install openssh-client)");
    throw new Error(`ssh-agent does not start: ${message}`);
  }
  await addKeys(directory, name, keyPaths);
  return name;
}

async function addKeys(directory: string, name: string, keyPaths: readonly string[]): Promise<void> {
  const child = spawn("ssh-add", ["-q", ...keyPaths], {
    stdio: ["ignore", "ignore", "pipe"],
    cwd: directory,
    // Nobody is there to type a passphrase.
    env: {
      ...process.env,
      SSH_AUTH_SOCK: name,
      SSH_ASKPASS: "/bin/false",
      SSH_ASKPASS_REQUIRE: "force",
    },
  });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  const [code] = await once(child, "close");
  if (code !== 0)
    throw new Error(`ssh-add does not take the key: ${complaint.trim() || `exit code ${code}`}`);
}
