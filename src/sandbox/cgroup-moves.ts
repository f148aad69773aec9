import { openSync, readFileSync, write } from "node:fs";
import { join } from "node:path";
import { CGROUP_ROOT, type CgroupVersion } from "./cgroup-view.ts";

/**
 * Before a process may change its cgroup the kernel waits until all processors have passed a quiet moment, 5 to 15 ms, unless another has
 * changed its own just before. The runtime moves each container; so that it need not wait, this process asks to be moved to where
 * it is, while the container's file systems are mounted.
 */
export interface CgroupMoves {
  /** Lets the wait begin, in another thread. */
  begin(): void;
}

export function makeCgroupMoves(version: CgroupVersion): CgroupMoves {
  const fd = version === "none" ? undefined : openOwnCgroup();
  if (fd === undefined) return { begin: () => {} };
  let isWaiting = false;
  return {
    begin() {
      if (isWaiting) return;
      isWaiting = true;
      // Zero is whoever writes. When it fails, the runtime waits by itself.
      write(fd, "0", () => {
        isWaiting = false;
      });
    },
  };
}

/** Its list of processes, in the first hierarchy where it can be seen and written; undefined where there is none. */
function openOwnCgroup(): number | undefined {
  for (const line of readFileSync("/proc/self/cgroup", "utf8").trim().split("\n")) {
    const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const list = join(CGROUP_ROOT, controllers.replace(/^name=/, ""), path, "cgroup.procs");
    try {
      // In a container the path may be another cgroup's.
      const isOwn = readFileSync(list, "utf8").split("\n").includes(String(process.pid));
      if (isOwn) return openSync(list, "w");
    } catch {}
  }
  return undefined;
}
