import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * Ends containers whose runtime has been killed, for the holder alone: the first process of a container has a pid namespace of
 * its own and the runtime as parent, or, without one, pid 1 of the holder's namespace, which is the holder. Its end is that of
 * all in the container.
 */
export function killOrphans(): void {
  const own = readPidNamespace("self");
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!(pid > 1)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      const [, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (Number(parent) === process.pid && readPidNamespace(name) !== own) process.kill(pid, "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  }
}

function readPidNamespace(pid: string): string {
  return readlinkSync(`/proc/${pid}/ns/pid`);
}
