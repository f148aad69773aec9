import { once } from "node:events";
import { chmodSync, chownSync, closeSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { type AgentPool, openSocketDirectory, socketPath } from "./agent-pool.ts";
import type { AgentSocket } from "./holder-protocol.ts";

/**
 * Opens a container's sockets in `directory`, each under its name: what connects there is connected to the agent, whose own
 * socket keeps its owner and mode.
 */
export async function openAgentSockets(
  sockets: readonly AgentSocket[],
  directory: string,
  agents: AgentPool,
): Promise<Disposable> {
  const held = new DisposableStack();
  if (sockets.length === 0) return held;
  const opened = openSocketDirectory(directory);
  held.defer(() => closeSync(opened));
  try {
    for (const { name, agent, mode, uid, gid } of sockets) {
      const path = socketPath(opened, name);
      held.use(await relay(path, await agents.open(agent)));
      chownSync(path, uid, gid);
      chmodSync(path, mode);
    }
  } catch (error) {
    held.dispose();
    throw error;
  }
  return held;
}

async function relay(path: string, agentPath: string): Promise<Disposable> {
  const open = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (near) => {
    const far = createConnection({ path: agentPath, allowHalfOpen: true });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from);
      from.pipe(to);
      // Either side may go at any time; the other then goes too.
      from.on("error", () => to.destroy());
      from.on("close", () => {
        open.delete(from);
        to.destroy();
      });
    }
  });
  server.listen(path);
  await once(server, "listening");
  return {
    [Symbol.dispose]() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
