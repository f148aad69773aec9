import { closeSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type Libc, loadLibc } from "../rootfs/libc.ts";
import { isDisabled } from "./disabled-features.ts";
import type { MountableLayer } from "./holder-protocol.ts";

/** Mounts, for the holder process alone: the calls block, and they change its namespace. */

const MS_NODEV = 4;
const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const MNT_DETACH = 2;
const AT_FDCWD = -100;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_RDONLY = 1;
const MOUNT_ATTR_NODEV = 4;

export interface OverlayMount {
  readonly target: string;
  /** The topmost first; at least one. */
  readonly lowerDirectories: readonly string[];
  readonly upperDirectory: string;
  readonly workDirectory: string;
  /** A directory of this process, the same for all overlays, for links to theirs. */
  readonly linkDirectory: string;
  /** Whether device nodes in it work. */
  readonly hasDevices?: boolean;
}

/**
 * Options are named even where they are defaults: on a host whose default is metacopy, an upper directory would hold files
 * without content, and a redirect would hide a renamed directory's.
 */
const OVERLAY_OPTIONS = { index: "off", metacopy: "off", redirect_dir: "off" } as const;

/**
 * Linux 5.10: neither what a command syncs nor an unmount writes the whole file system of the store to the disk. The store does that
 * itself, once, before it calls a layer durable (store/durability.ts), and a run whose end the machine did not see leaves none.
 */
const VOLATILE = "volatile";

/**
 * Mounts an overlay: with `lowerdir+` (Linux 6.7), which takes any number of lower directories, else with mount(2), whose
 * options end at a page.
 */
export function mountOverlay(overlay: OverlayMount): void {
  const libc = loadLibc();
  const isOld = isDisabled("lowerdir+") || isDisabled("fsopen");
  if (!isOld && hasLowerdirPlus && mountWithLowerdirPlus(libc, overlay)) return;
  mountWithOptions(libc, overlay);
  // Asked again, an old kernel would complain in its log each time.
  hasLowerdirPlus = false;
}

let hasLowerdirPlus = true;

/** False when this kernel does not know the calls or `lowerdir+`. */
function mountWithLowerdirPlus(libc: Libc, overlay: OverlayMount): boolean {
  let context: number;
  try {
    context = libc.fsopen("overlay", 0);
  } catch {
    return false;
  }
  try {
    const values: readonly (readonly [string, string])[] = [
      ...overlay.lowerDirectories.map((lower) => ["lowerdir+", lower] as const),
      ["upperdir", overlay.upperDirectory],
      ["workdir", overlay.workDirectory],
      ...Object.entries(OVERLAY_OPTIONS),
    ];
    try {
      for (const [key, value] of values)
        libc.fsconfig(context, FSCONFIG_SET_STRING, key, Buffer.from(value), 0);
      if (!isDisabled("volatile")) libc.fsconfig(context, FSCONFIG_SET_FLAG, VOLATILE, undefined, 0);
      libc.fsconfig(context, FSCONFIG_CMD_CREATE, undefined, undefined, 0);
    } catch (error) {
      // Which option it does not know, a kernel before 6.5 says only when all are there; what else is wrong mount(2) says again.
      if ((error as NodeJS.ErrnoException).code === "EINVAL") return false;
      throw error;
    }
    const mount = libc.fsmount(context, 0, overlay.hasDevices ? 0 : MOUNT_ATTR_NODEV);
    try {
      libc.moveMount(mount, "", AT_FDCWD, Buffer.from(overlay.target), MOVE_MOUNT_F_EMPTY_PATH);
    } finally {
      closeSync(mount);
    }
    return true;
  } finally {
    closeSync(context);
  }
}

/**
 * Links with short names stand for the directories, relative to the working directory: so hundreds of them fit. They are
 * kept, for the next overlay has nearly the same ones.
 */
function mountWithOptions(libc: Libc, overlay: OverlayMount): void {
  const link = (path: string) => linkTo(path, overlay.linkDirectory);
  const options = Object.entries({
    lowerdir: overlay.lowerDirectories.map(link).join(":"),
    upperdir: link(overlay.upperDirectory),
    workdir: link(overlay.workDirectory),
    ...OVERLAY_OPTIONS,
  }).map(([key, value]) => `${key}=${value}`);
  process.chdir(overlay.linkDirectory);
  try {
    const flags = overlay.hasDevices ? 0 : MS_NODEV;
    const mount = (all: readonly string[]) =>
      libc.mount("overlay", Buffer.from(overlay.target), "overlay", { flags, data: all.join(",") });
    try {
      mount(isDisabled("volatile") ? options : [...options, VOLATILE]);
    } catch {
      mount(options);
    }
  } finally {
    process.chdir("/");
  }
}

const links = new Map<string, string>();

/** Returns the link's own name. */
function linkTo(path: string, directory: string): string {
  let name = links.get(path);
  if (name === undefined) {
    name = links.size.toString(36);
    symlinkSync(path, join(directory, name));
    links.set(path, name);
  }
  return name;
}

/** With everything that is mounted below it. */
export function bindMount(source: string, target: string): void {
  loadLibc().mount(Buffer.from(source), Buffer.from(target), undefined, { flags: MS_BIND | MS_REC });
}

/** Mounts a layer's tar, read-only. */
export function mountErofs({ metadataPath, dataPath }: MountableLayer, target: string): void {
  const libc = loadLibc();
  const context = libc.fsopen("erofs", 0);
  try {
    const set = (key: string, value: string) =>
      libc.fsconfig(context, FSCONFIG_SET_STRING, key, Buffer.from(value), 0);
    set("source", metadataPath);
    set("device", dataPath);
    libc.fsconfig(context, FSCONFIG_SET_FLAG, "ro", undefined, 0);
    libc.fsconfig(context, FSCONFIG_CMD_CREATE, undefined, undefined, 0);
    const mount = libc.fsmount(context, 0, MOUNT_ATTR_RDONLY);
    try {
      libc.moveMount(mount, "", AT_FDCWD, Buffer.from(target), MOVE_MOUNT_F_EMPTY_PATH);
    } finally {
      closeSync(mount);
    }
  } finally {
    closeSync(context);
  }
}

export function mountTmpfs(target: string, options: string): void {
  loadLibc().mount("tmpfs", Buffer.from(target), "tmpfs", { flags: MS_NODEV, data: options });
}

/** Takes the mount out of the tree at once; what is still open in it goes when it is closed. */
export function unmount(target: string): void {
  loadLibc().umount2(Buffer.from(target), MNT_DETACH);
}

const leaving = new Set<Promise<boolean>>();

/** The same in another thread: the kernel waits for all processors before it lets go. False when nothing was mounted there. */
export async function unmountAside(target: string): Promise<boolean> {
  const unmounting = loadLibc().umount2Aside(Buffer.from(target), MNT_DETACH);
  leaving.add(unmounting);
  try {
    return await unmounting;
  } finally {
    leaving.delete(unmounting);
  }
}

/**
 * Waits for the overlays that are being unmounted. What one wrote to is a lower directory of the next one, and while both are mounted
 * the kernel complains in its log.
 */
export async function settleUnmounts(): Promise<void> {
  await Promise.all(leaving);
}
