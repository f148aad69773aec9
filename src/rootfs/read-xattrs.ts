import type { BytePath, Libc } from "./libc.ts";
import { loadLibc } from "./libc.ts";
import { isOverlayXattr } from "./member-entry.ts";

/** A path's own extended attributes that a layer carries, or undefined for none. */
export type ReadXattrs = (path: BytePath) => Readonly<Record<string, Uint8Array>> | undefined;

const CAPABILITY = "security.capability";

/**
 * Reads attributes where this system has them: none at all where the C library cannot be loaded (a context on another
 * operating system). It is loaded when the first path is asked for, which takes 15 ms.
 */
export function makeReadXattrs(): ReadXattrs {
  let read: ReadXattrs | undefined;
  return (path) => {
    read ??= bindReadXattrs();
    return read(path);
  };
}

function bindReadXattrs(): ReadXattrs {
  let libc: Libc;
  try {
    libc = loadLibc();
  } catch {
    return () => undefined;
  }
  return (path) => keptXattrs(readAllXattrs(libc, path));
}

/** Every attribute; an empty record on a file system without them. */
export function readAllXattrs(libc: Libc, path: BytePath): Record<string, Buffer> {
  const xattrs: Record<string, Buffer> = Object.create(null);
  let names: readonly string[];
  try {
    names = libc.llistxattr(path);
  } catch (error) {
    if (isNotSupported(error)) return xattrs;
    throw error;
  }
  for (const name of names) {
    const value = libc.lgetxattr(path, name);
    if (value !== undefined) xattrs[name] = value;
  }
  return xattrs;
}

/**
 * Those that mean the same on another machine: not the labels, access lists and hashes of this one, nor overlay's own.
 * File capabilities that a user namespace wrote (version 3) become plain ones.
 */
export function keptXattrs(
  all: Readonly<Record<string, Uint8Array>>,
): Record<string, Uint8Array> | undefined {
  let kept: Record<string, Uint8Array> | undefined;
  for (const name of Object.keys(all)) {
    const isPortable = name.startsWith("user.") || name.startsWith("trusted.") || name === CAPABILITY;
    if (!isPortable || isOverlayXattr(name)) continue;
    kept ??= Object.create(null) as Record<string, Uint8Array>;
    kept[name] = name === CAPABILITY ? asPlainCapability(all[name]!) : all[name]!;
  }
  return kept;
}

/** `struct vfs_ns_cap_data`: version 3 is version 2 with the namespace's root id behind it. */
function asPlainCapability(value: Uint8Array): Uint8Array {
  const VERSION_2 = 0x02;
  const VERSION_3 = 0x03;
  if (value.length !== 24 || value[3] !== VERSION_3) return value;
  const plain = Buffer.from(value.subarray(0, 20));
  plain[3] = VERSION_2;
  return plain;
}

function isNotSupported(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOTSUP" || code === "EOPNOTSUPP" || code === "ENOSYS";
}
