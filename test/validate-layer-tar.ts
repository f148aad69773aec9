import { basename } from "node:path";

export interface LayerMember {
  /** Without a leading `./` and a trailing slash; the root is empty. */
  readonly path: string;
  readonly type: "file" | "hardlink" | "symlink" | "char" | "block" | "directory" | "fifo";
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly linkName: string;
  readonly xattrs: Readonly<Record<string, string>>;
  readonly content: Buffer;
}

/**
 * Reads the uncompressed tar of a layer (image spec 1.1, layer.md), checking it: names within the root, once each, directories before
 * what is in them, nothing of the overlay file system's own. `mayMissParents`: layers that other tools made need not list directories.
 *
 * @throws Error that names the rule that is broken; `name` says where.
 */
export function validateLayerTar(
  tar: Buffer,
  name: string,
  options: { readonly mayMissParents?: boolean } = {},
): LayerMember[] {
  const members = [...readTar(tar, name)];
  const all = new Set(members.map(({ path }) => path));
  const seen = new Map<string, LayerMember["type"]>();
  for (const { path, type, xattrs, linkName } of members) {
    check(!path.startsWith("/") && !path.split("/").includes(".."), `${name}: "${path}" leaves the root`);
    check(!seen.has(path), `${name}: "${path}" is there twice`);
    seen.set(path, type);
    const slash = path.lastIndexOf("/");
    const parent = path.slice(0, Math.max(slash, 0));
    const mayMiss = options.mayMissParents === true && !all.has(parent);
    if (slash > 0 && !mayMiss)
      check(seen.get(parent) === "directory", `${name}: "${path}" comes before its directory`);
    const overlay = Object.keys(xattrs).find((key) => /^(?:trusted|user)\.overlay\./.test(key));
    check(overlay === undefined, `${name}: "${path}" has the xattr ${overlay}`);
    if (type === "hardlink") {
      const target = seen.get(linkName.replace(/^\.?\//, ""));
      check(
        target !== undefined && target !== "directory",
        `${name}: "${path}" is a hard link to "${linkName}", which is not before it`,
      );
    }
    if (basename(path).startsWith(".wh.")) {
      check(type === "file", `${name}: the whiteout "${path}" is no regular file`);
    }
  }
  return members;
}

const TYPES: Readonly<Record<string, LayerMember["type"]>> = {
  "0": "file",
  "\0": "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};

/** POSIX.1-2001 tar with pax headers, and GNU's long names. */
function* readTar(tar: Buffer, name: string): Generator<LayerMember> {
  let pax: Record<string, string> = {};
  for (let at = 0; at + 512 <= tar.length; ) {
    const header = tar.subarray(at, at + 512);
    if (header.every((byte) => byte === 0)) {
      check(
        tar.subarray(at).every((byte) => byte === 0) && tar.length - at >= 1024,
        `${name}: the tar does not end as it should`,
      );
      return;
    }
    checkSum(header, name);
    const typeflag = String.fromCharCode(header[156]!);
    const size = pax.size === undefined ? octal(header, 124, 12) : Number(pax.size);
    const content = tar.subarray(at + 512, at + 512 + size);
    check(content.length === size, `${name}: the tar is cut off`);
    at += 512 + Math.ceil(size / 512) * 512;
    if (typeflag === "x") {
      pax = { ...pax, ...readPax(content, name) };
      continue;
    }
    if (typeflag === "L" || typeflag === "K") {
      pax = { ...pax, [typeflag === "L" ? "path" : "linkpath"]: text(content, 0, content.length) };
      continue;
    }
    const type = TYPES[typeflag];
    if (type === undefined) throw new Error(`${name}: a member has the type "${typeflag}"`);
    const prefix = text(header, 345, 155);
    const ownName = text(header, 0, 100);
    const path = pax.path ?? (prefix === "" ? ownName : `${prefix}/${ownName}`);
    const xattrs = Object.entries(pax).filter(([key]) => key.startsWith("SCHILY.xattr."));
    yield {
      path: path
        .replace(/^(?:\.\/)+/, "")
        .replace(/\/$/, "")
        .replace(/^\.$/, ""),
      type,
      mode: octal(header, 100, 8),
      uid: pax.uid === undefined ? octal(header, 108, 8) : Number(pax.uid),
      gid: pax.gid === undefined ? octal(header, 116, 8) : Number(pax.gid),
      size,
      mtime: pax.mtime === undefined ? octal(header, 136, 12) : Number(pax.mtime),
      linkName: pax.linkpath ?? text(header, 157, 100),
      xattrs: Object.fromEntries(xattrs.map(([key, value]) => [key.slice("SCHILY.xattr.".length), value])),
      content,
    };
    pax = {};
  }
  throw new Error(`${name}: the tar has no end`);
}

function readPax(content: Buffer, name: string): Record<string, string> {
  const records: Record<string, string> = {};
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const length = Number(content.toString("latin1", at, space));
    const record = content.toString("utf8", space + 1, at + length);
    const equals = record.indexOf("=");
    check(length > 0 && equals > 0 && record.endsWith("\n"), `${name}: a pax header is broken`);
    records[record.slice(0, equals)] = record.slice(equals + 1, -1);
    at += length;
  }
  return records;
}

function checkSum(header: Buffer, name: string): void {
  const sum = header.reduce(
    (total, byte, position) => total + (position >= 148 && position < 156 ? 0x20 : byte),
    0,
  );
  check(sum === octal(header, 148, 8), `${name}: a header's checksum is wrong`);
}

function octal(header: Buffer, offset: number, length: number): number {
  if (header[offset]! & 0x80) return Number(`0x${header.toString("hex", offset + 1, offset + length)}`);
  const digits = text(header, offset, length).trim();
  return digits === "" ? 0 : Number.parseInt(digits, 8);
}

function text(bytes: Buffer, offset: number, length: number): string {
  const part = bytes.subarray(offset, offset + length);
  const end = part.indexOf(0);
  return part.toString("utf8", 0, end < 0 ? part.length : end);
}

function check(isRight: boolean, problem: string): void {
  if (!isRight) throw new Error(problem);
}
