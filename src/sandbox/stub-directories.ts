import { chmodSync, lchownSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadLibc } from "../rootfs/libc.ts";
import type { MountStub } from "./holder-protocol.ts";

/** Directories of mount points, in the holder's memory; commands that lack the same ones share one. */
export interface StubDirectories {
  /** Undefined when there are none to make. */
  open(stubs: readonly MountStub[]): string | undefined;
}

export function makeStubDirectories(directory: string): StubDirectories {
  const made = new Map<string, string>();
  mkdirSync(directory);
  return {
    open(stubs) {
      if (stubs.length === 0) return undefined;
      const key = JSON.stringify(stubs);
      let path = made.get(key);
      if (path === undefined) {
        path = join(directory, made.size.toString(36));
        mkdirSync(path, { mode: 0o755 });
        for (const stub of stubs) makeStub(stub, path);
        // What is made in a directory changes its time.
        for (const stub of stubs) setTime(stub, path);
        made.set(key, path);
      }
      return path;
    },
  };
}

function makeStub({ path, kind, mode, uid, gid, xattrs = {} }: MountStub, directory: string): void {
  const target = onDisk(directory, path);
  if (kind === "directory") mkdirSync(target);
  else writeFileSync(target, "");
  lchownSync(target, uid, gid);
  chmodSync(target, mode);
  for (const [name, value] of Object.entries(xattrs)) loadLibc().lsetxattr(target, name, value);
}

function setTime({ path, mtime }: MountStub, directory: string): void {
  if (mtime !== undefined) utimesSync(onDisk(directory, path), mtime, mtime);
}

function onDisk(directory: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(path, "latin1")]);
}
