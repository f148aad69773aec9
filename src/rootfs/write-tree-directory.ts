import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fchmodSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  type Stats,
  symlinkSync,
  writeSync,
} from "node:fs";
import { BuildError } from "../errors/build-error.ts";
import { diskPath } from "./disk-path.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import {
  type ExportedEntry,
  type ExportTreesRequest,
  type OpenedTrees,
  openExportedTrees,
} from "./exported-trees.ts";
import { asBytePath } from "./index-upper-directory.ts";
import { loadLibc, S_IFBLK, S_IFCHR, S_IFIFO } from "./libc.ts";
import type { ByteWork } from "./report-progress.ts";
import { isWithin, joinPath, parentPath, pathToText, ROOT } from "./rootfs-path.ts";

export interface WriteTreeDirectoryRequest extends ExportTreesRequest {
  /** Made when it is not there. */
  readonly directory: string;
  /** What the trees do not have is removed from the directory; else it stays. */
  readonly deleteOthers?: boolean;
}

/**
 * Writes what trees show as files of the caller, as BuildKit's local exporter does: modes, times, links, and extended attributes
 * where they may be set; never owners. A file takes its place whole, by a rename.
 *
 * Nothing is written outside the directory: what is no directory on the way, a symlink too, is replaced by one.
 * @throws BuildError `output-failed`.
 */
export function writeTreeDirectory(
  request: WriteTreeDirectoryRequest,
  { throwIfAborted = () => {}, onProgress = () => {} }: ByteWork = {},
): void {
  const { directory } = request;
  try {
    mkdirSync(directory, { recursive: true });
    using trees = openExportedTrees(request);
    if (request.deleteOthers) deleteOthers(directory, { trees, throwIfAborted });
    const writer = new TreeWriter(directory);
    let doneBytes = 0;
    for (const { entry, inode, read } of trees.entries()) {
      throwIfAborted();
      const readCounted = function* () {
        for (const chunk of read()) {
          doneBytes += chunk.length;
          onProgress(doneBytes);
          yield chunk;
        }
      };
      writer.write({ entry, inode, read: readCounted });
    }
    writer.end();
  } catch (error) {
    throw explain(error, directory);
  }
}

/** Goes down only where the trees have a directory, too: what is removed is removed as a whole, and no link is followed. */
function deleteOthers(
  directory: string,
  { trees, throwIfAborted }: { readonly trees: OpenedTrees; readonly throwIfAborted: () => void },
): void {
  const clean = (path: RootfsPath): void => {
    throwIfAborted();
    openForWriting(diskPath(directory, path));
    for (const name of readdirSync(diskPath(directory, path), { encoding: "latin1" })) {
      const inner = joinPath(path, name);
      const found = trees.find(inner);
      const onDisk = diskPath(directory, inner);
      if (found === undefined) rmSync(onDisk, { recursive: true, force: true });
      else if (found.isDirectory && lstatSync(onDisk).isDirectory()) clean(inner);
    }
  };
  clean(ROOT);
}

class TreeWriter {
  readonly #root: string;
  /** Directories that get their mode and time when nothing more is written into them. */
  readonly #open: Entry[] = [];
  /** The first written path of each inode with several. */
  readonly #written = new Map<string, RootfsPath>();
  readonly #suffix = `.${randomBytes(6).toString("hex")}.tmp`;

  constructor(root: string) {
    this.#root = root;
  }

  write({ entry, inode, read }: ExportedEntry): void {
    while (this.#open.length > 0 && !isWithin(entry.path, this.#open.at(-1)!.path)) this.#close();
    if (entry.type === "directory") this.#makeDirectory(entry);
    else this.#makeLeaf(entry, { inode, read });
  }

  end(): void {
    while (this.#open.length > 0) this.#close();
  }

  #path(path: RootfsPath): string | Buffer {
    return diskPath(this.#root, path);
  }

  #makeDirectory(entry: Entry): void {
    const path = this.#path(entry.path);
    const existing = lstat(path);
    if (existing?.isDirectory()) {
      openForWriting(path, existing);
    } else {
      if (existing !== undefined) rmSync(path, { force: true });
      mkdirSync(path, { mode: 0o700 });
    }
    this.#open.push(entry);
  }

  #close(): void {
    const entry = this.#open.pop()!;
    const path = this.#path(entry.path);
    chmodSync(path, entry.mode);
    finish(path, entry);
  }

  #makeLeaf(entry: Entry, { inode, read }: Pick<ExportedEntry, "inode" | "read">): void {
    const path = this.#path(entry.path);
    if (lstat(path)?.isDirectory()) rmSync(path, { recursive: true, force: true });
    const first = inode === undefined ? undefined : this.#written.get(inode);
    // A name of its own, in a directory that is known to be one.
    const temporary = this.#path(joinPath(parentPath(entry.path), this.#suffix));
    rmSync(temporary, { force: true });
    try {
      if (first !== undefined) {
        linkSync(this.#path(first), temporary);
      } else {
        writeLeaf(temporary, entry, read);
        finish(temporary, entry);
      }
      renameSync(temporary, path);
    } finally {
      // Also where the names were those of one file already: a rename does nothing then.
      rmSync(temporary, { force: true });
    }
    if (inode !== undefined && first === undefined) this.#written.set(inode, entry.path);
  }
}

function writeLeaf(path: string | Buffer, entry: Entry, read: () => Iterable<Uint8Array>): void {
  switch (entry.type) {
    case "file": {
      const fd = openSync(path, "wx", 0o600);
      try {
        for (const chunk of read()) {
          for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
        }
        fchmodSync(fd, entry.mode);
      } finally {
        closeSync(fd);
      }
      return;
    }
    case "symlink":
      symlinkSync(Buffer.from(entry.linkTarget!, "latin1"), path);
      return;
    case "fifo":
    case "char":
    case "block": {
      const type = { fifo: S_IFIFO, char: S_IFCHR, block: S_IFBLK }[entry.type];
      const device = { major: entry.deviceMajor ?? 0, minor: entry.deviceMinor ?? 0 };
      loadLibc().mknod(asBytePath(path), type | 0o600, device);
      chmodSync(path, entry.mode);
      return;
    }
    case "directory":
    case "whiteout":
      throw new Error(`a ${entry.type} is not written here`);
  }
}

/** Attributes before the time, which comes last. What may not be set is left out, as BuildKit leaves it out. */
function finish(path: string | Buffer, entry: Entry): void {
  for (const name in entry.xattrs) {
    try {
      loadLibc().lsetxattr(asBytePath(path), name, entry.xattrs[name]!);
    } catch (error) {
      if (!NO_XATTR.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
  }
  const time = entry.mtime + entry.mtimeNs / 1e9;
  lutimesSync(path, time, time);
}

const NO_XATTR = new Set(["EPERM", "EACCES", "ENOTSUP", "EOPNOTSUPP", "EINVAL", "E2BIG", "ENOSPC"]);

function lstat(path: string | Buffer): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

/** A directory of a former export may be read-only; root does not care. */
function openForWriting(path: string | Buffer, stats: Stats = lstatSync(path)): void {
  if ((stats.mode & 0o700) !== 0o700 && stats.isDirectory()) chmodSync(path, (stats.mode & 0o7777) | 0o700);
}

function explain(error: unknown, directory: string): unknown {
  const { code, syscall, path } = error as NodeJS.ErrnoException;
  if (error instanceof BuildError || syscall === undefined) return error;
  const at = typeof path === "string" && path.startsWith(directory) ? path.slice(directory.length) : "";
  const hint =
    syscall === "mknod"
      ? "Devices can only be made by root: leave them out of the image, or write a tar with -o type=tar"
      : undefined;
  const where = at === "" ? "" : ` at "${pathToText(at.slice(1) as RootfsPath)}"`;
  return new BuildError(
    "output-failed",
    `Cannot write to "${directory}": ${syscall} fails with ${code}${where}`,
    {
      hint,
      cause: error,
    },
  );
}
