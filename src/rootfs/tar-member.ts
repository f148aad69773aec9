import { type InputLimits, makeLimitError } from "../errors/input-limits.ts";
import { type PaxRecords, parsePaxInteger, parsePaxTime, XATTR_PREFIX } from "./pax-records.ts";
import { invalidTar, type RawHeader } from "./tar-header.ts";

export type TarMemberType = "file" | "hardlink" | "symlink" | "char" | "block" | "directory" | "fifo";

/** One member of an archive. Names have one char a byte and stand as the archive has them. */
export interface TarMember {
  readonly name: string;
  readonly type: TarMemberType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of the content that follows, with the holes of a sparse file; 0 for all but files. */
  readonly size: number;
  readonly mtime: number;
  readonly mtimeNs: number;
  /** Target of a symlink or a hard link; empty for others. */
  readonly linkName: string;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
}

/** A header block and what stood in front of it. */
export interface MemberHeaders {
  readonly raw: RawHeader;
  readonly pax?: PaxRecords;
  /** GNU tar's, instead of those of the block. */
  readonly longName?: string;
  readonly longLink?: string;
}

const TYPES: Readonly<Record<string, TarMemberType>> = {
  "0": "file",
  "\0": "file",
  "7": "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};

/**
 * One member from all that the archive says about it.
 * @throws BuildError `image-invalid` for what no file could be, `input-limit` for a name that is too long.
 */
export function makeTarMember(
  { raw, pax, longName, longLink }: MemberHeaders,
  limits: InputLimits,
): TarMember {
  const get = (key: string) => pax?.get(key) || undefined;
  const name = get("GNU.sparse.name") ?? get("path") ?? longName ?? raw.name;
  const linkName = get("linkpath") ?? longLink ?? raw.linkname;
  if (Math.max(name.length, linkName.length) > limits["name-size"]) {
    const what = `Cannot read "${printable(name.slice(0, 40))}..." in the tar archive: its name or its target is longer`;
    throw makeLimitError("name-size", what, limits);
  }
  if (name.includes("\0") || linkName.includes("\0")) throw invalidTar("a name holds a NUL byte");
  let type = raw.typeflag === "S" ? "file" : TYPES[raw.typeflag];
  if (type === undefined) {
    throw invalidTar(`"${printable(name)}" has the unknown type ${JSON.stringify(raw.typeflag)}`);
  }
  // Before ustar a directory was a file whose name ends in a slash.
  if (raw.typeflag === "\0" && name.endsWith("/")) type = "directory";
  const number = (key: string, value: number) => {
    const text = get(key);
    return text === undefined ? value : parsePaxInteger(text);
  };
  const size = number("size", raw.size);
  const uid = number("uid", raw.uid);
  const gid = number("gid", raw.gid);
  if (size < 0 || ![uid, gid, raw.devmajor, raw.devminor].every(isUint32))
    throw invalidTar(`"${printable(name)}" has a number out of range`);
  const paxTime = get("mtime");
  const time = paxTime === undefined ? { seconds: raw.mtime, nanoseconds: 0 } : parsePaxTime(paxTime);
  return {
    name,
    type,
    mode: raw.mode & 0o7777,
    uid,
    gid,
    size: type === "file" ? size : 0,
    mtime: time.seconds,
    mtimeNs: time.nanoseconds,
    linkName: type === "symlink" || type === "hardlink" ? linkName : "",
    deviceMajor: type === "char" || type === "block" ? raw.devmajor : 0,
    deviceMinor: type === "char" || type === "block" ? raw.devminor : 0,
    ...(pax === undefined ? {} : xattrsOf(pax)),
  };
}

/** Linux's (xattr(7)). */
const XATTR_NAME_MAX = 255;

function xattrsOf(pax: PaxRecords): { xattrs?: Record<string, Uint8Array> } {
  let xattrs: Record<string, Uint8Array> | undefined;
  for (const [key, value] of pax) {
    if (!key.startsWith(XATTR_PREFIX) || key.length === XATTR_PREFIX.length) continue;
    if (key.length - XATTR_PREFIX.length > XATTR_NAME_MAX) {
      throw invalidTar(`the name of an extended attribute is longer than ${XATTR_NAME_MAX} bytes`);
    }
    xattrs ??= Object.create(null) as Record<string, Uint8Array>;
    xattrs[key.slice(XATTR_PREFIX.length)] = Buffer.from(value, "latin1");
  }
  return xattrs === undefined ? {} : { xattrs };
}

function isUint32(id: number): boolean {
  return id >= 0 && id <= 0xffff_ffff;
}

/** A name for a message. */
export function printable(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}
