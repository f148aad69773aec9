import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { loadLibc } from "../rootfs/libc.ts";
import { CGROUP_ROOT, type CgroupVersion } from "./cgroup-view.ts";
import type { RuntimeResources } from "./runtime-resources.ts";

/** The cgroup of one command. */
export interface HeldCgroup {
  /** `linux.cgroupsPath` and `linux.resources` for the runtime; the path is absent where there are no cgroups. */
  readonly path?: string;
  readonly resources: RuntimeResources;
  /** Whether the kernel has killed something because the limit on memory was reached. Asked after the command's end. */
  ranOutOfMemory(): boolean;
  /** What is left of it goes. */
  remove(): void;
}

/**
 * How much more memory the inner cgroup has, in bytes, a page of any kernel. Programs read its limit to know their own; the outer one's
 * must be reached first, for of the inner one's no event comes up.
 */
const INNER_SLACK = 64 << 10;

const EFD_CLOEXEC_NONBLOCK = 0o2004000;

/**
 * Makes the place of a command's cgroup. The runtime makes, fills and removes the cgroup itself; one with a limit on memory
 * stands in a further one of ours, which outlives it, so that what happened can be asked afterwards.
 *
 * @param path absolute in each hierarchy
 * @param root where the hierarchies are
 */
export function openCgroup(
  version: CgroupVersion,
  path: string,
  { resources, root = CGROUP_ROOT }: { readonly resources: RuntimeResources; readonly root?: string },
): HeldCgroup {
  const nothing = { ranOutOfMemory: () => false, remove: () => {} };
  if (version === "none") return { ...nothing, resources: {} };
  if (resources.memory === undefined) return { ...nothing, path, resources };
  const outer = join(root, version === "v1" ? "memory" : "", path);
  mkdirSync(outer, { recursive: true });
  const inner = { path: join(path, "command"), remove: () => removeQuietly(outer) };
  if (version === "v2") {
    return {
      ...inner,
      // v2 counts swap by itself where v1 counts both: the runtime converts.
      resources,
      ranOutOfMemory: () => readCount(join(outer, "memory.events"), "oom_kill") > 0,
    };
  }
  const watch = watchMemory(outer, resources.memory);
  return {
    ...inner,
    resources: { ...resources, memory: { limit: resources.memory.limit + INNER_SLACK } },
    ranOutOfMemory: watch.hasFired,
    remove() {
      watch.close();
      removeQuietly(outer);
      // The other hierarchies have it because the runtime makes all parents.
      for (const line of readFileSync("/proc/self/cgroup", "utf8").split("\n")) {
        const name = line.split(":")[1]?.replace(/^name=/, "");
        if (name) removeQuietly(join(root, name, path));
      }
    },
  };
}

/** cgroup v1: an eventfd is told of every time that the limit was reached and nothing could be reclaimed. */
function watchMemory(
  directory: string,
  { limit, swap }: NonNullable<RuntimeResources["memory"]>,
): { hasFired(): boolean; close(): void } {
  writeFileSync(join(directory, "memory.limit_in_bytes"), String(limit));
  const both = join(directory, "memory.memsw.limit_in_bytes");
  // It is there only where the kernel counts swap.
  if (swap !== undefined && existsSync(both)) writeFileSync(both, String(swap));
  const control = openSync(join(directory, "memory.oom_control"), "r");
  const event = loadLibc().eventfd(0, EFD_CLOEXEC_NONBLOCK);
  writeFileSync(join(directory, "cgroup.event_control"), `${event} ${control}`);
  return {
    hasFired() {
      try {
        return readSync(event, Buffer.alloc(8)) === 8;
      } catch {
        return false;
      }
    },
    close() {
      closeSync(event);
      closeSync(control);
    },
  };
}

function readCount(path: string, key: string): number {
  const line = readFileSync(path, "utf8")
    .split("\n")
    .find((text) => text.startsWith(`${key} `));
  return Number(line?.split(" ")[1] ?? 0);
}

/** Of a directory that may be gone, or may not be empty: then it goes with the build. */
function removeQuietly(path: string): void {
  if (!existsSync(dirname(path))) return;
  try {
    rmdirSync(path);
  } catch {}
}
