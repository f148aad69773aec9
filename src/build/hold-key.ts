import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BuildError } from "../errors/build-error.ts";

/** An agent of our own; disposing ends it. */
export interface HeldKey extends AsyncDisposable {
  /** Of the agent's socket. */
  readonly path: string;
}

/**
 * Gives a private key, as OpenSSH writes it, to an ssh-agent: it is in no file and in no other process. It ends with this process,
 * however that ends, for it watches a child that reads from a pipe of ours.
 *
 * @throws BuildError `environment` without OpenSSH's programs, `option-invalid` for what is no key or has a passphrase.
 */
export async function holdKey(id: string, key: Uint8Array): Promise<HeldKey> {
  // A socket's path has at most 107 bytes, which the store's may exceed.
  const directory = await mkdtemp(join(tmpdir(), "slipway-ssh-"));
  const path = join(directory, "agent");
  await using opened = new AsyncDisposableStack();
  opened.defer(() => rm(directory, { recursive: true, force: true }));
  const watched = await start("ssh-agent", ["-a", path, "sh", "-c", 'echo "$SSH_AGENT_PID"; exec cat']);
  const ended = once(watched, "close");
  const [pid] = await Promise.race([once(watched.stdout, "data"), ended]);
  opened.defer(async () => {
    watched.stdin.end();
    if (pid instanceof Buffer) process.kill(Number(pid.toString()));
    await ended;
  });
  await addKey(id, path, key);
  const closing = opened.move();
  return { path, [Symbol.asyncDispose]: () => closing.disposeAsync() };
}

async function addKey(id: string, path: string, key: Uint8Array): Promise<void> {
  // Nobody is there to type a passphrase.
  const env = {
    ...process.env,
    SSH_AUTH_SOCK: path,
    SSH_ASKPASS: "/bin/false",
    SSH_ASKPASS_REQUIRE: "force",
  };
  const child = await start("ssh-add", ["-q", "-"], env);
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  child.stdin.on("error", () => {});
  child.stdin.write(key);
  // ssh-add takes no key whose last line has no end.
  child.stdin.end("\n");
  const [code] = await once(child, "close");
  if (code === 0) return;
  const reason = complaint.trim() || `ssh-add ended with ${code}`;
  throw new BuildError("option-invalid", `Cannot use the ssh key "${id}": ${reason}`, {
    hint: "Give a private key in OpenSSH's form, without a passphrase",
  });
}

async function start(program: string, args: readonly string[], env = process.env) {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], env });
  try {
    await once(child, "spawn");
    return child;
  } catch (cause) {
    throw new BuildError("environment", `Cannot start ${program}: this machine has none`, {
      cause,
      hint: "apt-get install openssh-client",
    });
  }
}
