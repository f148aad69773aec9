import { formatPaxRecords, type PaxRecords, XATTR_PREFIX } from "./pax-records.ts";
import { FIELD, TAR_BLOCK, tarChecksum, tarPadding } from "./tar-header.ts";
import type { TarMember, TarMemberType } from "./tar-member.ts";

const TYPEFLAG: Readonly<Record<TarMemberType, string>> = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  char: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/** The largest values of ustar's octal fields. */
const MAX_ID = 0o7777777;
const MAX_SIZE = 0o77777777777;

/**
 * The header blocks of a member, deterministic: ustar where it suffices, else pax records for the values that need one
 * and only for them. The mtime is cut to the second; no atime, ctime or names of owners. A directory's name gets its slash.
 */
export function encodeTarMember(member: TarMember): Buffer {
  const isDirectory = member.type === "directory" && !member.name.endsWith("/");
  const name = isDirectory ? `${member.name}/` : member.name;
  const pax: PaxRecords = new Map();
  const split = splitName(name);
  if (split === undefined) pax.set("path", name);
  if (!isAscii(member.linkName) || member.linkName.length > FIELD.linkname[1])
    pax.set("linkpath", member.linkName);
  if (member.uid > MAX_ID) pax.set("uid", String(member.uid));
  if (member.gid > MAX_ID) pax.set("gid", String(member.gid));
  if (member.size > MAX_SIZE) pax.set("size", String(member.size));
  if (member.mtime < 0 || member.mtime > MAX_SIZE) pax.set("mtime", String(member.mtime));
  for (const [key, value] of Object.entries(member.xattrs ?? {})) {
    pax.set(XATTR_PREFIX + key, Buffer.from(value.buffer, value.byteOffset, value.length).toString("latin1"));
  }
  const header = encodeBlock(member, split ?? { prefix: "", name: toAscii(name).slice(0, 100) });
  if (pax.size === 0) return header;
  const body = formatPaxRecords(pax);
  const paxName = `PaxHeaders.0/${toAscii(name.replace(/\/$/, "").split("/").pop()!).slice(0, 80)}`;
  const paxHeader = encodeBlock(
    { ...EMPTY_MEMBER, name: paxName, size: body.length },
    { prefix: "", name: paxName },
    "x",
  );
  return Buffer.concat([paxHeader, body, Buffer.alloc(tarPadding(body.length)), header]);
}

/** The two zero blocks that end an archive. */
export const TAR_END: Uint8Array = Buffer.alloc(2 * TAR_BLOCK);

const EMPTY_MEMBER: TarMember = {
  name: "",
  type: "file",
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0,
  mtimeNs: 0,
  linkName: "",
  deviceMajor: 0,
  deviceMinor: 0,
};

interface SplitName {
  readonly prefix: string;
  readonly name: string;
}

/** `split` is its name. */
function encodeBlock(member: TarMember, split: SplitName, typeflag = TYPEFLAG[member.type]): Buffer {
  // From Node's pool: a buffer of its own for each file keeps the collector busy.
  const block = Buffer.allocUnsafe(TAR_BLOCK).fill(0);
  block.write(split.name, FIELD.name[0], FIELD.name[1], "latin1");
  writeOctal(block, FIELD.mode, member.mode);
  // A value that its field cannot hold stands in a pax record; the field then says 0.
  writeOctal(block, FIELD.uid, member.uid > MAX_ID ? 0 : member.uid);
  writeOctal(block, FIELD.gid, member.gid > MAX_ID ? 0 : member.gid);
  writeOctal(block, FIELD.size, member.size > MAX_SIZE ? 0 : member.size);
  writeOctal(block, FIELD.mtime, member.mtime < 0 || member.mtime > MAX_SIZE ? 0 : member.mtime);
  block.write(typeflag, FIELD.typeflag[0], 1, "latin1");
  block.write(toAscii(member.linkName).slice(0, 100), FIELD.linkname[0], FIELD.linkname[1], "latin1");
  block.write("ustar\x0000", FIELD.magic[0], FIELD.magic[1], "latin1");
  writeOctal(block, FIELD.devmajor, member.deviceMajor);
  writeOctal(block, FIELD.devminor, member.deviceMinor);
  block.write(split.prefix, FIELD.prefix[0], FIELD.prefix[1], "latin1");
  block.write(`${tarChecksum(block).toString(8).padStart(6, "0")}\0 `, FIELD.checksum[0], 8, "latin1");
  return block;
}

/** All digits of the field but the last, which stays NUL. */
function writeOctal(block: Buffer, [offset, length]: readonly [number, number], value: number): void {
  let left = value;
  for (let at = offset + length - 2; at >= offset; at--) {
    block[at] = 0x30 + (left % 8);
    left = Math.floor(left / 8);
  }
}

/** ustar's name and prefix, cut at the last slash that fits as Go's archive/tar cuts it; undefined when pax is needed. */
function splitName(name: string): SplitName | undefined {
  if (!isAscii(name)) return undefined;
  if (name.length <= FIELD.name[1]) return { prefix: "", name };
  // A directory's own slash is no place to cut.
  const end = name.endsWith("/") && name.length <= 156 ? name.length - 1 : Math.min(name.length, 156);
  const slash = name.lastIndexOf("/", end - 1);
  const rest = name.length - slash - 1;
  if (slash <= 0 || slash > FIELD.prefix[1] || rest > FIELD.name[1] || rest === 0) return undefined;
  return { prefix: name.slice(0, slash), name: name.slice(slash + 1) };
}

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return false;
  return true;
}

function toAscii(text: string): string {
  return isAscii(text) ? text : text.replace(/[^\x00-\x7f]/g, "");
}
