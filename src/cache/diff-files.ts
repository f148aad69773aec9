import { inflateRawSync } from "node:zlib";

/** One file that differs between two COPYs. */
export interface FileChange {
  readonly path: string;
  /** `new`, `removed`, `content`, `mode 0644 -> 0755`, `owner 0:0 -> 1:1`, `directory -> file`; several with commas. */
  readonly change: string;
}

type Listed = readonly [meta: string, content: string];

/** Compares lists of files as they are kept beside a COPY's key; in the order of the paths. */
export function diffFiles(earlier: Uint8Array, now: Uint8Array): FileChange[] {
  const [linesBefore, linesAfter] = [readLines(earlier), readLines(now)];
  // Mostly all but a few are the same, and need not be understood.
  const before = parseLines(linesBefore.difference(linesAfter));
  const after = parseLines(linesAfter.difference(linesBefore));
  const changes: FileChange[] = [];
  for (const path of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [one, other] = [before.get(path), after.get(path)];
    if (one === undefined) changes.push({ path, change: "new" });
    else if (other === undefined) changes.push({ path, change: "removed" });
    else {
      const change = describe(one, other);
      if (change !== "") changes.push({ path, change });
    }
  }
  return changes;
}

function describe([metaBefore, before]: Listed, [metaAfter, after]: Listed): string {
  const [typeBefore, modeBefore, ownerBefore, xattrsBefore] = metaBefore.split(" ");
  const [typeAfter, modeAfter, ownerAfter, xattrsAfter] = metaAfter.split(" ");
  if (typeBefore !== typeAfter) return `${typeBefore} -> ${typeAfter}`;
  const parts: string[] = [];
  if (before !== after) parts.push(typeAfter === "symlink" ? `target ${before} -> ${after}` : "content");
  if (modeBefore !== modeAfter && typeAfter !== "symlink") parts.push(`mode ${modeBefore} -> ${modeAfter}`);
  if (ownerBefore !== ownerAfter) parts.push(`owner ${ownerBefore} -> ${ownerAfter}`);
  if (xattrsBefore !== xattrsAfter) parts.push("extended attributes");
  return parts.join(", ");
}

function readLines(bytes: Uint8Array): Set<string> {
  const text = inflateRawSync(bytes).toString("utf8");
  return new Set(text === "" ? [] : text.split("\n"));
}

function parseLines(lines: Set<string>): Map<string, Listed> {
  return new Map(
    Array.from(lines, (line) => {
      const [path, meta, content] = JSON.parse(line) as [string, string, string];
      return [path, [meta, content]];
    }),
  );
}
