import type { RootfsPath } from "./entry.ts";

export const ROOT = "" as RootfsPath;

/**
 * A path as people write it (`/a/./b/../c/`), in UTF-8, as a path inside a root: `.`, `..` and slashes resolved lexically,
 * never above the root.
 */
export function pathFromText(text: string): RootfsPath {
  return cleanPath(bytesFromText(text));
}

/** For messages: the path with a slash in front, bytes that are not UTF-8 replaced. */
export function pathToText(path: RootfsPath): string {
  return `/${textFromBytes(path)}`;
}

/** UTF-8 text as one char a byte. */
export function bytesFromText(text: string): string {
  return isAscii(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}

/** One char a byte as text; bytes that are not UTF-8 are replaced. */
export function textFromBytes(bytes: string): string {
  return isAscii(bytes) ? bytes : Buffer.from(bytes, "latin1").toString("utf8");
}

/** Resolves `.`, `..` and doubled slashes of a byte string; `..` at the root stays there. */
export function cleanPath(bytes: string): RootfsPath {
  const parts: string[] = [];
  for (const part of bytes.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return parts.join("/") as RootfsPath;
}

export function joinPath(directory: RootfsPath, name: string): RootfsPath {
  return (directory === "" ? name : name === "" ? directory : `${directory}/${name}`) as RootfsPath;
}

/** The root is its own parent. */
export function parentPath(path: RootfsPath): RootfsPath {
  const slash = path.lastIndexOf("/");
  return (slash < 0 ? "" : path.slice(0, slash)) as RootfsPath;
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** True for the directory itself and all below it. */
export function isWithin(path: RootfsPath, directory: RootfsPath): boolean {
  if (directory === "") return true;
  return path.startsWith(directory) && (path.length === directory.length || path[directory.length] === "/");
}

/** `path` as seen from `directory`, which it is within. */
export function pathBelow(path: RootfsPath, directory: RootfsPath): RootfsPath {
  if (directory === "") return path;
  return path.slice(directory.length + 1) as RootfsPath;
}

/** The order of an index: a directory, then all below it, then its next sibling; `/` sorts below every other byte. */
export function comparePaths(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return (left === 0x2f ? -1 : left) - (right === 0x2f ? -1 : right);
  }
  return a.length - b.length;
}

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return false;
  return true;
}
