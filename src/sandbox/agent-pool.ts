import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { SshAgent } from "./holder-protocol.ts";

/** The ssh agents of a build: those of the user, and our own for keys. */
export interface AgentPool {
  /** The path of the agent's socket. One of our own is started when it is first asked for, and ends with the holder. */
  open(agent: SshAgent): Promise<string>;
}

const START_MS = 10_000;

export function makeAgentPool(directory: string): AgentPool {
  const started = new Map<string, Promise<string>>();
  return {
    async open(agent) {
      if (agent.kind === "socket") return agent.path;
      const key = JSON.stringify(agent.paths);
      let starting = started.get(key);
      if (starting === undefined) {
        starting = startAgent(join(directory, `agent-${started.size}`), agent.paths);
        started.set(key, starting);
      }
      return starting;
    },
  };
}

/** OpenSSH's own programs: they read every form of key. */
async function startAgent(socketPath: string, keyPaths: readonly string[]): Promise<string> {
  const agent = spawn("ssh-agent", ["-D", "-a", socketPath], { stdio: "ignore" });
  let failure: Error | undefined;
  agent.on("error", (error) => {
    failure = error;
  });
  const deadline = Date.now() + START_MS;
  while (!existsSync(socketPath)) {
    if (failure !== undefined) {
      throw new Error(
        `there is no ssh-agent on this machine (apt-get install openssh-client): ${failure.message}`,
      );
    }
    if (agent.exitCode !== null || Date.now() > deadline) throw new Error("ssh-agent does not start");
    await sleep(5);
  }
  await addKeys(socketPath, keyPaths);
  return socketPath;
}

async function addKeys(socketPath: string, keyPaths: readonly string[]): Promise<void> {
  const child = spawn("ssh-add", ["-q", ...keyPaths], {
    stdio: ["ignore", "ignore", "pipe"],
    // Nobody is there to type a passphrase.
    env: {
      ...process.env,
      SSH_AUTH_SOCK: socketPath,
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
