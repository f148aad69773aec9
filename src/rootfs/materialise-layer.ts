import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fchownSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { BuildError } from "../errors/build-error.ts";
import { diskPath } from "./disk-path.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import { ownBytes } from "./find-hidden.ts";
import { asBytePath } from "./index-upper-directory.ts";
import { isSelfContained } from "./is-self-contained.ts";
import type { Layer } from "./layer.ts";
import { walkView } from "./layer-view.ts";
import { type Libc, loadLibc, S_IFBLK, S_IFCHR, S_IFIFO } from "./libc.ts";
import type { ByteWork } from "./report-progress.ts";
import { isWithin, pathToText, ROOT } from "./rootfs-path.ts";
import { type LayerOverTree, openLayerOver, type TreeEntry, type UnionTree } from "./union-tree.ts";

export interface MaterialiseRequest {
  /** One that was born as a tar: a RUN's layer is a directory already. */
  readonly layer: Layer;
  /** The layers below it, bottom first; not looked at when the layer is self-contained. */
  readonly below: readonly Layer[];
  /** Made by the call (its parent exists); a temporary name beside it, then renamed. */
  readonly directory: string;
  /** In a user namespace: `user.overlay.*` xattrs, device nodes as empty files. */
  readonly userNamespace?: boolean;
}

/**
 * Writes a layer as a directory that can be an overlay's lower one: whiteouts are devices 0:0, opaque directories have the
 * kernel's attribute (filesystems/overlayfs). Directories that the layer does not list look as they do below; what it has
 * under a lower layer's symlink lies where that leads; a hard link into a lower layer is a copy.
 *
 * Nothing is written outside the directory: every parent of what is written is a directory that this call made.
 * @throws BuildError `not-permitted` when owners, devices or attributes cannot be set.
 */
export function materialiseLayer(
  request: MaterialiseRequest,
  { throwIfAborted, onProgress }: ByteWork = {},
): void {
  const { layer, directory } = request;
  if (layer.content.kind !== "tar") throw new Error(`layer ${layer.id} is a directory already`);
  const isAlone = isSelfContained(layer);
  const temporary = `${directory}.${randomBytes(6).toString("hex")}.tmp`;
  mkdirSync(temporary, { mode: 0o700 });
  try {
    using over = openLayerOver(layer, isAlone ? [] : request.below);
    const writer = new DirectoryWriter(temporary, over, request.userNamespace ?? false);
    let doneBytes = 0;
    for (const entry of walkView(over.view)) {
      throwIfAborted?.();
      writer.write(entry);
      doneBytes += ownBytes(entry);
      onProgress?.(doneBytes);
    }
    writer.end();
    renameSync(temporary, directory);
  } catch (error) {
    throw explain(error, request);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

class DirectoryWriter {
  readonly #root: string;
  readonly #below: UnionTree;
  readonly #userNamespace: boolean;
  readonly #libc: Libc = loadLibc();
  readonly #owner: { readonly uid: number; readonly gid: number };
  readonly #umask = process.umask();
  /** Directories that are open: they get their mode and time when nothing more is written into them. */
  readonly #open: Entry[] = [];
  /** The first written path of each inode with several. */
  readonly #written = new Map<string, RootfsPath>();
  readonly #read: LayerOverTree["read"];

  constructor(root: string, over: LayerOverTree, userNamespace: boolean) {
    this.#root = root;
    this.#below = over.below;
    this.#userNamespace = userNamespace;
    // The group too, for a directory with setgid above gives its own to what is made in it.
    const { uid, gid } = lstatSync(root);
    this.#owner = { uid, gid };
    this.#read = over.read;
  }

  write(entry: Entry): void {
    while (this.#open.length > 0 && !isWithin(entry.path, this.#open.at(-1)!.path))
      this.#close(this.#open.pop()!);
    if (entry.foreignLink) {
      this.#copyUp(entry);
    } else if (entry.type === "directory") {
      const described = entry.implicit ? this.#describeFromBelow(entry) : entry;
      if (entry.path !== ROOT) mkdirSync(this.#path(entry.path), { mode: 0o700 });
      this.#open.push(described);
    } else {
      this.#writeLeaf(entry, () => this.#read(entry));
    }
  }

  end(): void {
    while (this.#open.length > 0) this.#close(this.#open.pop()!);
  }

  #path(path: RootfsPath): string | Buffer {
    return diskPath(this.#root, path);
  }

  #describeFromBelow(entry: Entry): Entry {
    const below = this.#below.lookup(entry.path)?.entry;
    if (below?.type !== "directory") return entry;
    return { ...below, ...(entry.opaque ? { opaque: true } : {}) };
  }

  #close(directory: Entry): void {
    const path = this.#path(directory.path);
    const { uid, gid } = directory;
    if (uid !== this.#owner.uid || gid !== this.#owner.gid) lchownSync(path, uid, gid);
    chmodSync(path, directory.mode);
    this.#setXattrs(path, directory);
    if (directory.opaque) {
      const prefix = this.#userNamespace ? "user" : "trusted";
      this.#libc.lsetxattr(asBytePath(path), `${prefix}.overlay.opaque`, Buffer.from("y"));
    }
    this.#libc.lutimens(asBytePath(path), directory.mtime, directory.mtimeNs);
  }

  #copyUp(entry: Entry): void {
    const group = `below ${entry.hardLinkOf}`;
    if (this.#linkToWritten(group, entry.path)) return;
    const target: TreeEntry | undefined = this.#below.resolve(entry.hardLinkOf!, { followLast: false }).entry;
    if (target === undefined || target.entry.type === "directory") {
      throw new BuildError(
        "image-invalid",
        `Cannot unpack "${pathToText(entry.path)}": it is a hard link to "${pathToText(entry.hardLinkOf!)}", which no lower layer has`,
      );
    }
    const { hardLinkOf: _, ...file } = target.entry;
    this.#writeLeaf({ ...file, path: entry.path }, () => this.#below.read(target));
    this.#written.set(group, entry.path);
  }

  #writeLeaf(entry: Entry, content: () => Iterable<Uint8Array>): void {
    const path = this.#path(entry.path);
    const { type } = entry;
    if (type === "whiteout") {
      this.#libc.mknod(asBytePath(path), S_IFCHR, { major: 0, minor: 0 });
      return;
    }
    if (entry.hardLinkOf !== undefined) {
      if (this.#linkToWritten(entry.hardLinkOf, entry.path)) return;
      this.#written.set(entry.hardLinkOf, entry.path);
    }
    if (type === "file") {
      this.#writeFile(path, entry, content());
      return;
    }
    if (type === "symlink") {
      symlinkSync(Buffer.from(entry.linkTarget!, "latin1"), path);
    } else if (type === "fifo") {
      this.#libc.mknod(asBytePath(path), S_IFIFO | 0o600, { major: 0, minor: 0 });
    } else {
      const device = { major: entry.deviceMajor ?? 0, minor: entry.deviceMinor ?? 0 };
      // In an overlay's lower directory a device 0:0 would remove what is below.
      if (type === "char" && device.major === 0 && device.minor === 0) return;
      if (this.#userNamespace) {
        this.#writeFile(path, entry, []);
        return;
      }
      this.#libc.mknod(asBytePath(path), (type === "char" ? S_IFCHR : S_IFBLK) | 0o600, device);
    }
    if (entry.uid !== this.#owner.uid || entry.gid !== this.#owner.gid)
      lchownSync(path, entry.uid, entry.gid);
    if (type !== "symlink") chmodSync(path, entry.mode);
    this.#setXattrs(path, entry);
    this.#libc.lutimens(asBytePath(path), entry.mtime, entry.mtimeNs);
  }

  #linkToWritten(group: string, path: RootfsPath): boolean {
    const written = this.#written.get(group);
    if (written === undefined) return false;
    linkSync(this.#path(written), this.#path(path));
    return true;
  }

  /** chown, chmod, attributes, time: chown clears setuid bits and capabilities, writing clears both and the time. */
  #writeFile(path: string | Buffer, entry: Entry, content: Iterable<Uint8Array>): void {
    const { mode, uid, gid } = entry;
    const fd = openSync(path, "wx", mode & 0o777);
    try {
      for (const chunk of content) {
        for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
      }
      if (uid !== this.#owner.uid || gid !== this.#owner.gid) fchownSync(fd, uid, gid);
      if ((mode & 0o7000) !== 0 || (mode & this.#umask) !== 0) fchmodSync(fd, mode);
    } finally {
      closeSync(fd);
    }
    this.#setXattrs(path, entry);
    this.#libc.lutimens(asBytePath(path), entry.mtime, entry.mtimeNs);
  }

  #setXattrs(path: string | Buffer, entry: Entry): void {
    for (const name in entry.xattrs) this.#libc.lsetxattr(asBytePath(path), name, entry.xattrs[name]!);
  }
}

function explain(error: unknown, { layer }: MaterialiseRequest): unknown {
  const { code, syscall, path } = error as NodeJS.ErrnoException;
  if (code !== "EPERM" && code !== "EINVAL" && code !== "EACCES" && code !== "ENOTSUP") return error;
  return new BuildError(
    "not-permitted",
    `Cannot unpack the layer ${layer.id}: ${syscall} "${path ?? ""}" fails with ${code}`,
    {
      hint: "Owners, devices and extended attributes need root or a user namespace, and a file system that has them",
      cause: error,
    },
  );
}
