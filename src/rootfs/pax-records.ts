import { invalidTar } from "./tar-header.ts";

/** Values of a pax extended header (POSIX.1-2001, pax, "Extended Header"), one char a byte. */
export type PaxRecords = Map<string, string>;

export const SPARSE_PREFIX = "GNU.sparse.";
export const SPARSE_MAP = "GNU.sparse.map";
export const XATTR_PREFIX = "SCHILY.xattr.";

/** @throws BuildError `image-invalid` when a record is malformed. */
export function parsePaxRecords(body: Buffer): PaxRecords {
  const records: PaxRecords = new Map();
  const sparseMap: string[] = [];
  let at = 0;
  while (at < body.length) {
    const space = body.indexOf(0x20, at);
    const length = parseLength(body.toString("latin1", at, Math.min(space, at + LENGTH_DIGITS + 1)));
    const end = at + length;
    if (!(end <= body.length && end > space && body[end - 1] === 0x0a)) {
      throw invalidTar("a pax record has a wrong length");
    }
    const equals = body.indexOf(0x3d, space);
    if (equals < 0 || equals >= end) throw invalidTar("a pax record has no value");
    const key = body.toString("latin1", space + 1, equals);
    const value = body.toString("latin1", equals + 1, end - 1);
    if (key === "" || key.includes("\0")) throw invalidTar("a pax record has no name");
    // Format 0.0 of sparse files repeats two keys; format 0.1 has them in one.
    if (key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes") {
      const isOffset = sparseMap.length % 2 === 0;
      if (isOffset !== (key === "GNU.sparse.offset")) throw invalidTar("the map of a sparse file is wrong");
      sparseMap.push(value);
    } else records.set(key, value);
    at = end;
  }
  if (sparseMap.length > 0) records.set(SPARSE_MAP, sparseMap.join(","));
  return records;
}

/** More than any header is long. */
const LENGTH_DIGITS = 12;

/** NaN for all but decimal digits: what one program takes for a number and another does not hides members from one of them. */
function parseLength(digits: string): number {
  return /^[0-9]+$/.test(digits) ? Number(digits) : Number.NaN;
}

/** Sorted by key, so that the same values give the same bytes. */
export function formatPaxRecords(records: PaxRecords): Buffer {
  const parts = [...records]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => formatRecord(key, value));
  return Buffer.from(parts.join(""), "latin1");
}

/** The length counts its own digits. */
function formatRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

export function parsePaxInteger(text: string): number {
  const value = Number(text);
  if (!/^-?[0-9]+$/.test(text) || !Number.isSafeInteger(value)) {
    throw invalidTar(`the pax number "${text}" is wrong`);
  }
  return value;
}

/** Decimal seconds, perhaps negative, perhaps with a fraction: whole seconds rounded down, and nanoseconds. */
export function parsePaxTime(text: string): { readonly seconds: number; readonly nanoseconds: number } {
  const match = /^(-?)([0-9]+)(?:\.([0-9]*))?$/.exec(text);
  if (match === null) throw invalidTar(`the pax time "${text}" is wrong`);
  const seconds = Number(match[2]);
  if (!Number.isSafeInteger(seconds)) throw invalidTar(`the pax time "${text}" is too large`);
  const nanoseconds = Number((match[3] ?? "").slice(0, 9).padEnd(9, "0"));
  if (match[1] === "") return { seconds, nanoseconds };
  return nanoseconds === 0
    ? { seconds: seconds === 0 ? 0 : -seconds, nanoseconds: 0 }
    : { seconds: -seconds - 1, nanoseconds: 1e9 - nanoseconds };
}
