import { readdirSync, readFileSync } from "node:fs";

export interface FoundProcess {
  readonly pid: number;
  readonly parent: number;
  /** Arguments joined with spaces. */
  readonly command: string;
}

/** All processes of the machine, but those that ended while they were read. */
export function listProcesses(): FoundProcess[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (state === "Z") return [];
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      return [{ pid: Number(name), parent: Number(parent), command }];
    } catch {
      return [];
    }
  });
}

/** A process's children, their children and so on. */
export function listDescendants(pid: number): FoundProcess[] {
  const all = listProcesses();
  const found: FoundProcess[] = [];
  const add = (parent: number): void => {
    for (const process of all.filter((one) => one.parent === parent)) {
      found.push(process);
      add(process.pid);
    }
  };
  add(pid);
  return found;
}

/** Processes that have a text among their arguments. */
export function processesWith(text: string): FoundProcess[] {
  return listProcesses().filter(({ pid, command }) => pid !== process.pid && command.includes(text));
}

/** Processes in whose mount namespace something is mounted from or at a path. */
export function mountsWith(path: string): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      if (!/^\d+$/.test(pid)) return [];
      return readFileSync(`/proc/${pid}/mountinfo`, "utf8")
        .split("\n")
        .filter((line) => line.includes(path))
        .map((line) => `${pid}: ${line}`);
    } catch {
      return [];
    }
  });
}
