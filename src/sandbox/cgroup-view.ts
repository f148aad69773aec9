import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { isDisabled } from "./disabled-features.ts";
import { bindMount, mountTmpfs, unmount } from "./mount.ts";
import { readCapabilities } from "./read-capabilities.ts";

export const CGROUP_ROOT = "/sys/fs/cgroup";

/** CGROUP2_SUPER_MAGIC and TMPFS_MAGIC of linux/magic.h. */
const CGROUP2_MAGIC = 0x63677270;
const TMPFS_MAGIC = 0x01021994;

/** `none`: commands have neither limits nor device rules. */
export type CgroupVersion = "v1" | "v2" | "none";

/**
 * Puts the machine's cgroups in a form that OCI runtimes accept, in this process's own mount namespace, and says what can be
 * done with them. crun 1.8 refuses hosts that have v1 and v2 side by side, so there the v2 hierarchy, which has no
 * controllers, is hidden.
 *
 * @param scratchDirectory an empty directory to work in
 */
export function prepareCgroups(scratchDirectory: string, runtime: "crun" | "runc"): CgroupVersion {
  const version = isDisabled("cgroups") ? "none" : probe(runtime);
  if (version === "v1") hideUnified(scratchDirectory);
  // An empty directory is what crun takes for a machine without cgroups; runc does what it can.
  if (version === "none" && runtime === "crun") mountTmpfs(CGROUP_ROOT, "mode=0755");
  return version;
}

function probe(runtime: "crun" | "runc"): CgroupVersion {
  try {
    switch (statfsSync(CGROUP_ROOT).type) {
      case CGROUP2_MAGIC:
        return isWritable(CGROUP_ROOT) && hasControllers() && canDelegate() && canFilterDevices(runtime)
          ? "v2"
          : "none";
      case TMPFS_MAGIC:
        return isWritable(join(CGROUP_ROOT, "devices")) && isWritable(join(CGROUP_ROOT, "memory"))
          ? "v1"
          : "none";
      default:
        return "none";
    }
  } catch {
    return "none";
  }
}

function isWritable(hierarchy: string): boolean {
  const path = join(hierarchy, `slipway-probe-${process.pid}-${Date.now()}`);
  try {
    mkdirSync(path);
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}

function hasControllers(): boolean {
  return readFileSync(join(CGROUP_ROOT, "cgroup.controllers"), "utf8").includes("memory");
}

/**
 * On v2 controllers are for leaves: a cgroup with processes in it cannot have any below it (EBUSY), the machine's own root excepted. The
 * root of a container is none.
 */
function canDelegate(): boolean {
  try {
    writeFileSync(join(CGROUP_ROOT, "cgroup.subtree_control"), "+memory");
    return true;
  } catch {
    return false;
  }
}

/** On v2 device rules are a BPF program; crun wants to lock more memory for it than a restricted root may. */
function canFilterDevices(runtime: "crun" | "runc"): boolean {
  const capabilities = readCapabilities();
  return (
    capabilities.includes("CAP_SYS_ADMIN") &&
    (runtime === "runc" || capabilities.includes("CAP_SYS_RESOURCE"))
  );
}

function hideUnified(scratchDirectory: string): void {
  const original = join(scratchDirectory, "cgroup");
  mkdirSync(original);
  bindMount(CGROUP_ROOT, original);
  mountTmpfs(CGROUP_ROOT, "mode=0755");
  for (const name of readdirSync(original)) {
    const [from, to] = [join(original, name), join(CGROUP_ROOT, name)];
    // Of controllers that are mounted together each has a link.
    if (lstatSync(from).isSymbolicLink()) symlinkSync(readlinkSync(from), to);
    else if (name !== "unified") {
      mkdirSync(to);
      bindMount(from, to);
    }
  }
  unmount(original);
  rmdirSync(original);
}
