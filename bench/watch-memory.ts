import { readdirSync, readFileSync } from "node:fs";

const INTERVAL_MS = 25;

export interface WatchMemoryOptions {
  /** Processes that are watched with all their descendants. */
  readonly roots: readonly number[];
  /** How many pid namespaces below the roots' own the tool itself works in; what is deeper is a container's command. */
  readonly ownDepth: number;
}

/** Watches what the processes of a tool hold, until stopped. */
export interface MemoryWatch {
  /** Ends it; the most at one moment, in bytes. */
  stop(): number;
}

/** Sums the proportional set size (PSS: a shared page counts once in all) of the trees, forty times a second. */
export function watchMemory(options: WatchMemoryOptions): MemoryWatch {
  let peakBytes = 0;
  const sample = () => {
    peakBytes = Math.max(peakBytes, sumTrees(options));
  };
  sample();
  const timer = setInterval(sample, INTERVAL_MS);
  return {
    stop() {
      clearInterval(timer);
      return peakBytes;
    },
  };
}

interface ProcessFacts {
  readonly pid: number;
  readonly parent: number;
  /** How many pid namespaces it is in, as seen from here. */
  readonly depth: number;
}

function sumTrees({ roots, ownDepth }: WatchMemoryOptions): number {
  const all = new Map<number, ProcessFacts>();
  for (const name of readdirSync("/proc")) {
    const facts = /^\d+$/.test(name) ? readFacts(Number(name)) : undefined;
    if (facts !== undefined) all.set(facts.pid, facts);
  }
  const children = Map.groupBy(all.values(), ({ parent }) => parent);
  const sum = ({ pid, depth }: ProcessFacts, deepest: number): number => {
    if (depth > deepest) return 0;
    return (children.get(pid) ?? []).reduce((total, child) => total + sum(child, deepest), readPss(pid));
  };
  return roots.reduce((total, pid) => {
    const root = all.get(pid);
    return root === undefined ? total : total + sum(root, root.depth + ownDepth);
  }, 0);
}

function readFacts(pid: number): ProcessFacts | undefined {
  const text = readProc(pid, "status");
  if (text === undefined) return undefined;
  const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, "m").exec(text)?.[1] ?? "";
  return { pid, parent: Number(field("PPid")), depth: field("NSpid").split(/\s+/).length };
}

function readPss(pid: number): number {
  const text = readProc(pid, "smaps_rollup") ?? "";
  return Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
}

/** Undefined when the process has ended meanwhile. */
function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}
