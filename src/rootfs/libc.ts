import { closeSync } from "node:fs";
import { createRequire } from "node:module";
import { getSystemErrorName } from "node:util";

/**
 * The calls of the C library that Node does not have. Paths are byte strings (one char a byte) or buffers; a negative
 * result throws an `ErrnoException` like those of `node:fs` (`code`, `errno`, `syscall`, `path`).
 */
export interface Libc {
  /** Names of a path's own extended attributes (a symlink is not followed). */
  llistxattr(path: BytePath): string[];
  /** `undefined` when the attribute is not there. */
  lgetxattr(path: BytePath, name: string): Buffer | undefined;
  lsetxattr(path: BytePath, name: string, value: Uint8Array): void;
  lremovexattr(path: BytePath, name: string): void;
  /** `mode` includes the file type (`S_IFCHR`...). */
  mknod(path: BytePath, mode: number, device: { readonly major: number; readonly minor: number }): void;
  /** Sets both times of the path itself (a symlink is not followed). */
  lutimens(path: BytePath, seconds: number, nanoseconds: number): void;
  lchown(path: BytePath, uid: number, gid: number): void;
  /** `flags` as in `<sys/mount.h>`; `undefined` passes NULL. */
  mount(
    source: BytePath | undefined,
    target: BytePath,
    type: string | undefined,
    options: { readonly flags: number; readonly data?: string },
  ): void;
  umount2(target: BytePath, flags: number): void;
  /** In another thread, for it may wait for the kernel. False when it failed. */
  umount2Aside(target: BytePath, flags: number): Promise<boolean>;
  unshare(flags: number): void;
  /** Of the calling thread: moves it into the namespace that `fd` is of. */
  setns(fd: number, flags: number): void;
  /** Sets the network interface going, as `ip link set NAME up` does. */
  bringUp(interfaceName: string): void;
  sethostname(name: string): void;
  chroot(path: BytePath): void;
  pivotRoot(newRoot: BytePath, putOld: BytePath): void;
  prctl(option: number, a: number, b?: number, c?: number, d?: number): number;
  /** Of the file system that an open file lies on. */
  syncfs(fd: number): void;
  /** The new file descriptor. */
  fsopen(type: string, flags: number): number;
  fsconfig(
    fd: number,
    command: number,
    key: string | undefined,
    value: BytePath | undefined,
    aux: number,
  ): void;
  /** The new file descriptor. */
  fsmount(fd: number, flags: number, attributes: number): number;
  moveMount(fromFd: number, from: BytePath, toFd: number, to: BytePath, flags: number): void;
  /** The new file descriptor. */
  eventfd(initial: number, flags: number): number;
  /** The file descriptors of both ends, which children do not inherit. */
  pipe(): readonly [readEnd: number, writeEnd: number];
  /** A file in memory that can be sealed, which children do not inherit: the new file descriptor. */
  memfd(name: string): number;
  /** Nobody can change it, or its seals, any more. */
  sealMemfd(fd: number): void;
  /**
   * Writes into `stats`, of `STATX_BYTES`, what statx(2) says of a path below an open directory (a symlink is not followed), its last byte a NUL:
   * inode, size, mtime, ctime and device. False when nothing is there. Nothing is copied, so that it can be called often.
   */
  statx(directoryFd: number, path: Uint8Array, stats: Uint8Array): boolean;
  /** Adds flags (ioctl_iflags(2)) to those of an open file or directory. Not every file system has them. */
  addInodeFlags(fd: number, flags: number): void;
}

export type BytePath = string | Uint8Array;

/** Of `addInodeFlags`: ext4 takes subdirectories for unrelated, and spreads them over the disk. */
export const FS_TOPDIR_FL = 0x20000;

export const STATX_BYTES = 256;

export const S_IFIFO = 0o010000;
export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;

const O_CLOEXEC = 0o2000000;
const MFD_CLOEXEC_ALLOW_SEALING = 3;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE of <fcntl.h>. */
const ALL_SEALS = 0xf;
/** Of 64-bit machines; what they point to is an int all the same. */
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
/** STATX_MTIME, STATX_CTIME, STATX_INO and STATX_SIZE of <linux/stat.h>; a device there always is. */
const STATX_STAMP = 0x3c0;
const ENOENT = 2;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;
const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
/** Of `struct ifreq` of <net/if.h>: the name, NUL at its end, then the flags in 16 bits. */
const IFREQ = { bytes: 40, nameBytes: 16 } as const;
const ENODATA = 61;
const ERANGE = 34;
/** The same numbers on every architecture since Linux 5.2. */
const SYS_MOVE_MOUNT = 429;
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const SYS_PIVOT_ROOT: Readonly<Record<string, number>> = { x64: 155, arm64: 41 };
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;

let loaded: Libc | undefined;

/**
 * Binds the C library of this process (Linux only): 20 to 30 ms the first time in a thread, so only where it is needed.
 * @throws Error when the native module or a symbol cannot be loaded.
 */
export function loadLibc(): Libc {
  loaded ??= bindLibc();
  return loaded;
}

function bindLibc(): Libc {
  if (process.platform !== "linux") throw new Error(`no Linux C library on ${process.platform}`);
  const koffi: typeof import("koffi") = createRequire(import.meta.url)("koffi");
  // Node is linked with the libc of the system, whatever its file is called.
  const library = koffi.load(null);
  const bind = (declaration: string) => library.func(declaration);
  const check = (result: number, syscall: string, path?: BytePath): number => {
    if (result < 0) throw errnoError(koffi.errno(), syscall, path);
    return result;
  };

  const llistxattr = bind("long llistxattr(const void *path, void *list, size_t size)");
  const lgetxattr = bind("long lgetxattr(const void *path, const void *name, void *value, size_t size)");
  const lsetxattr = bind(
    "int lsetxattr(const void *path, const void *name, const void *value, size_t size, int flags)",
  );
  const lremovexattr = bind("int lremovexattr(const void *path, const void *name)");
  const mknod = bind("int mknod(const void *path, unsigned int mode, unsigned long device)");
  const utimensat = bind("int utimensat(int fd, const void *path, const void *times, int flags)");
  const lchown = bind("int lchown(const void *path, unsigned int uid, unsigned int gid)");
  const mount = bind(
    "int mount(const void *source, const void *target, const void *type, unsigned long flags, const void *data)",
  );
  const umount2 = bind("int umount2(const void *target, int flags)");
  const unshare = bind("int unshare(int flags)");
  const setns = bind("int setns(int fd, int type)");
  const socket = bind("int socket(int domain, int type, int protocol)");
  const sethostname = bind("int sethostname(const void *name, size_t length)");
  const chroot = bind("int chroot(const void *path)");
  const prctl = bind(
    "int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)",
  );
  const syncfs = bind("int syncfs(int fd)");
  const eventfd = bind("int eventfd(unsigned int initial, int flags)");
  const pipe2 = bind("int pipe2(_Out_ int *ends, int flags)");
  const memfdCreate = bind("int memfd_create(const void *name, unsigned int flags)");
  const fcntl = bind("int fcntl(int fd, int command, ...)");
  // Not every C library has it.
  let statx: typeof fcntl | undefined;
  const ioctl = bind("int ioctl(int fd, unsigned long request, ...)");
  const syscall = bind("long syscall(long number, ...)");
  const optional = (text: BytePath | undefined) => (text === undefined ? null : terminated(text));

  let scratch = Buffer.alloc(4096);
  /** Calls until the answer fits. `undefined` when the attribute is not there. */
  const readInto = (name: string, path: BytePath, call: (buffer: Buffer) => number): Buffer | undefined => {
    for (;;) {
      const size = call(scratch);
      if (size >= 0) return scratch.subarray(0, size);
      const errno = koffi.errno();
      if (errno === ENODATA) return undefined;
      if (errno !== ERANGE || scratch.length >= 1 << 20) throw errnoError(errno, name, path);
      scratch = Buffer.alloc(scratch.length * 4);
    }
  };

  return {
    llistxattr(path) {
      const at = terminated(path);
      const list = readInto("llistxattr", path, (buffer) => llistxattr(at, buffer, buffer.length));
      if (list === undefined || list.length === 0) return [];
      return list.toString("latin1", 0, list.length - 1).split("\0");
    },
    lgetxattr(path, name) {
      const at = terminated(path);
      const key = terminated(name);
      const value = readInto("lgetxattr", path, (buffer) => lgetxattr(at, key, buffer, buffer.length));
      return value === undefined ? undefined : Buffer.from(value);
    },
    lsetxattr(path, name, value) {
      check(lsetxattr(terminated(path), terminated(name), value, value.length, 0), "lsetxattr", path);
    },
    lremovexattr(path, name) {
      check(lremovexattr(terminated(path), terminated(name)), "lremovexattr", path);
    },
    mknod(path, mode, device) {
      check(mknod(terminated(path), mode, deviceNumber(device.major, device.minor)), "mknod", path);
    },
    lutimens(path, seconds, nanoseconds) {
      const times = Buffer.alloc(32);
      for (const at of [0, 16]) {
        times.writeBigInt64LE(BigInt(seconds), at);
        times.writeBigInt64LE(BigInt(nanoseconds), at + 8);
      }
      check(utimensat(AT_FDCWD, terminated(path), times, AT_SYMLINK_NOFOLLOW), "utimensat", path);
    },
    lchown(path, uid, gid) {
      check(lchown(terminated(path), uid, gid), "lchown", path);
    },
    mount(source, target, type, { flags, data }) {
      const result = mount(optional(source), terminated(target), optional(type), flags, optional(data));
      check(result, "mount", target);
    },
    umount2(target, flags) {
      check(umount2(terminated(target), flags), "umount2", target);
    },
    umount2Aside(target, flags) {
      const path = terminated(target);
      return new Promise((resolve) => {
        umount2.async(path, flags, (error: unknown, result: number) =>
          // The path has to live until then.
          resolve(error === null && result === 0 && path.length > 0),
        );
      });
    },
    unshare(flags) {
      check(unshare(flags), "unshare");
    },
    setns(fd, flags) {
      check(setns(fd, flags), "setns");
    },
    bringUp(interfaceName) {
      const request = Buffer.alloc(IFREQ.bytes);
      terminated(interfaceName).copy(request, 0, 0, IFREQ.nameBytes);
      const fd = check(socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0), "socket");
      try {
        check(ioctl(fd, SIOCGIFFLAGS, "void *", request), "ioctl", interfaceName);
        request.writeUInt16LE(request.readUInt16LE(IFREQ.nameBytes) | IFF_UP, IFREQ.nameBytes);
        check(ioctl(fd, SIOCSIFFLAGS, "const void *", request), "ioctl", interfaceName);
      } finally {
        closeSync(fd);
      }
    },
    sethostname(name) {
      check(sethostname(terminated(name), Buffer.byteLength(name, "latin1")), "sethostname");
    },
    chroot(path) {
      check(chroot(terminated(path)), "chroot", path);
    },
    pivotRoot(newRoot, putOld) {
      const number = SYS_PIVOT_ROOT[process.arch];
      if (number === undefined) throw new Error(`no number of pivot_root is known on ${process.arch}`);
      const result = syscall(number, "const void *", terminated(newRoot), "const void *", terminated(putOld));
      check(result, "pivot_root", newRoot);
    },
    prctl(option, a, b = 0, c = 0, d = 0) {
      return check(prctl(option, a, b, c, d), "prctl");
    },
    syncfs(fd) {
      check(syncfs(fd), "syncfs");
    },
    fsopen(type, flags) {
      return check(syscall(SYS_FSOPEN, "const void *", terminated(type), "unsigned int", flags), "fsopen");
    },
    fsconfig(fd, command, key, value, aux) {
      const result = syscall(
        SYS_FSCONFIG,
        ...["int", fd, "unsigned int", command, "const void *", optional(key)],
        ...["const void *", optional(value), "int", aux],
      );
      check(result, "fsconfig", value);
    },
    fsmount(fd, flags, attributes) {
      const result = syscall(SYS_FSMOUNT, ...["int", fd, "unsigned int", flags, "unsigned int", attributes]);
      return check(result, "fsmount");
    },
    moveMount(fromFd, from, toFd, to, flags) {
      const result = syscall(
        SYS_MOVE_MOUNT,
        ...["int", fromFd, "const void *", terminated(from)],
        ...["int", toFd, "const void *", terminated(to), "unsigned int", flags],
      );
      check(result, "move_mount", to);
    },
    eventfd(initial, flags) {
      return check(eventfd(initial, flags), "eventfd");
    },
    pipe() {
      const ends = new Int32Array(2);
      check(pipe2(ends, O_CLOEXEC), "pipe2");
      return [ends[0]!, ends[1]!];
    },
    memfd(name) {
      return check(memfdCreate(terminated(name), MFD_CLOEXEC_ALLOW_SEALING), "memfd_create");
    },
    sealMemfd(fd) {
      check(fcntl(fd, F_ADD_SEALS, "int", ALL_SEALS), "fcntl");
    },
    statx(directoryFd, path, stats) {
      statx ??= bind("int statx(int fd, const void *path, int flags, unsigned int mask, _Out_ void *stats)");
      if (statx(directoryFd, path, AT_SYMLINK_NOFOLLOW, STATX_STAMP, stats) === 0) return true;
      const errno = koffi.errno();
      if (errno === ENOENT) return false;
      throw errnoError(errno, "statx", path.subarray(0, -1));
    },
    addInodeFlags(fd, flags) {
      const found = new Int32Array(1);
      check(ioctl(fd, FS_IOC_GETFLAGS, "void *", found), "ioctl");
      found[0]! |= flags;
      check(ioctl(fd, FS_IOC_SETFLAGS, "const void *", found), "ioctl");
    },
  };
}

/** glibc's `makedev`: the numbers are spread over 64 bits. */
function deviceNumber(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xfffn) << 8n) | ((high & ~0xfffn) << 32n) | (low & 0xffn) | ((low & ~0xffn) << 12n);
}

/** A C string. @throws Error for a byte string that a NUL would cut. */
function terminated(text: BytePath): Buffer {
  const bytes = typeof text === "string" ? Buffer.from(`${text}\0`, "latin1") : Buffer.concat([text, NUL]);
  if (bytes.indexOf(0) !== bytes.length - 1) throw new Error("a path or name holds a NUL byte");
  return bytes;
}

const NUL = Buffer.of(0);

function errnoError(errno: number, syscall: string, path: BytePath | undefined): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno);
  const shown = path === undefined ? undefined : Buffer.from(path as string, "latin1").toString("utf8");
  const error: NodeJS.ErrnoException = new Error(
    `${code}, ${syscall}${shown === undefined ? "" : ` '${shown}'`}`,
  );
  return Object.assign(error, {
    code,
    errno: -errno,
    syscall,
    ...(shown === undefined ? {} : { path: shown }),
  });
}
