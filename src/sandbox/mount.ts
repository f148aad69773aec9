import koffi from "koffi";

/** mount(2) and the mount API of Linux 5.2, for the holder process alone: it blocks, and it changes its namespace. */

const MS_NODEV = 4;
const MNT_DETACH = 2;
const AT_FDCWD = -100;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_NODEV = 4;

// The same numbers on every architecture (syscalls from 424 on).
const SYS_MOVE_MOUNT = 429;
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;

const libc = koffi.load("libc.so.6");
const callMount = libc.func(
  "int mount(const char *source, const char *target, const char *type, ulong flags, const char *data)",
);
const callUmount = libc.func("int umount2(const char *target, int flags)");
const callClose = libc.func("int close(int fd)");
const callFsopen = libc.func("long syscall(long number, const char *type, uint flags)");
const callFsconfig = libc.func(
  "long syscall(long number, int fd, uint command, const char *key, const char *value, int aux)",
);
const callFsmount = libc.func("long syscall(long number, int fd, uint flags, uint attributes)");
const callMoveMount = libc.func(
  "long syscall(long number, int from, const char *fromPath, int to, const char *toPath, uint flags)",
);

export interface OverlayMount {
  readonly target: string;
  /** The topmost first; at least one. */
  readonly lowerDirectories: readonly string[];
  readonly upperDirectory: string;
  readonly workDirectory: string;
}

/**
 * Options are named even where they are defaults: on a host whose default is metacopy, an upper directory would hold files
 * without content, and a redirect would hide a renamed directory's.
 */
const OVERLAY_OPTIONS = { index: "off", metacopy: "off", redirect_dir: "off" } as const;

/**
 * Mounts an overlay: with `lowerdir+` (Linux 6.7), which takes any number of lower directories, else with mount(2), whose
 * options end at a page.
 */
export function mountOverlay(overlay: OverlayMount): void {
  const isDisabled = (process.env.SLIPWAY_DISABLE ?? "").split(",").includes("lowerdir+");
  if (isDisabled || !mountWithLowerdirPlus(overlay)) mountWithOptions(overlay);
}

/** False when this kernel does not know the calls or `lowerdir+`. */
function mountWithLowerdirPlus(overlay: OverlayMount): boolean {
  const context = Number(callFsopen(SYS_FSOPEN, "overlay", 0));
  if (context < 0) return false;
  try {
    const set = (key: string, value: string): boolean =>
      Number(callFsconfig(SYS_FSCONFIG, context, FSCONFIG_SET_STRING, key, value, 0)) === 0;
    for (const [position, lower] of overlay.lowerDirectories.entries()) {
      if (!set("lowerdir+", lower)) {
        if (position === 0) return false;
        throw lastError(`mount the layer "${lower}"`);
      }
    }
    const options = { upperdir: overlay.upperDirectory, workdir: overlay.workDirectory, ...OVERLAY_OPTIONS };
    for (const [key, value] of Object.entries(options))
      if (!set(key, value)) throw lastError(`set overlay option ${key}=${value}`);
    if (Number(callFsconfig(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, null, null, 0)) !== 0) {
      throw lastError("make the overlay");
    }
    const mount = Number(callFsmount(SYS_FSMOUNT, context, 0, MOUNT_ATTR_NODEV));
    if (mount < 0) throw lastError("mount the overlay");
    try {
      if (
        Number(
          callMoveMount(SYS_MOVE_MOUNT, mount, "", AT_FDCWD, overlay.target, MOVE_MOUNT_F_EMPTY_PATH),
        ) !== 0
      ) {
        throw lastError(`mount the overlay on "${overlay.target}"`);
      }
    } finally {
      callClose(mount);
    }
    return true;
  } finally {
    callClose(context);
  }
}

function mountWithOptions(overlay: OverlayMount): void {
  const escapePath = (path: string): string => path.replaceAll(/[\\:,]/g, "\\$&");
  const options = Object.entries({
    lowerdir: overlay.lowerDirectories.map(escapePath).join(":"),
    upperdir: escapePath(overlay.upperDirectory),
    workdir: escapePath(overlay.workDirectory),
    ...OVERLAY_OPTIONS,
  }).map(([key, value]) => `${key}=${value}`);
  if (callMount("overlay", overlay.target, "overlay", MS_NODEV, options.join(",")) !== 0)
    throw lastError("mount the overlay");
}

export function mountTmpfs(target: string, options: string): void {
  if (callMount("tmpfs", target, "tmpfs", MS_NODEV, options) !== 0)
    throw lastError(`mount a tmpfs on "${target}"`);
}

/** Takes the mount out of the tree at once; what is still open in it goes when it is closed. */
export function unmount(target: string): void {
  if (callUmount(target, MNT_DETACH) !== 0) throw lastError(`unmount "${target}"`);
}

function lastError(action: string): Error {
  const number = koffi.errno();
  const name = Object.entries(koffi.os.errno).find(([, value]) => value === number)?.[0] ?? `error ${number}`;
  return new Error(`cannot ${action}: ${name}`);
}
