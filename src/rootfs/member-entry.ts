import { BuildError } from "../errors/build-error.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import { PATH_LIMIT } from "./entry-record.ts";
import { implicitDirectory } from "./layer-entries.ts";
import { baseName, cleanPath, parentPath, ROOT, textFromBytes } from "./rootfs-path.ts";
import type { TarMember } from "./tar-member.ts";

/** OCI image spec 1.1, layer.md, "Whiteouts". */
export const WHITEOUT_PREFIX = ".wh.";
export const OPAQUE_MARKER = ".wh..wh..opq";
/** Of aufs, which kept its own files beside the layer's; `.wh..wh..opq` is the only one that means something. */
const AUFS_PREFIX = ".wh..wh.";

/**
 * What a member of a layer's tar says, for `writeLayerIndex`; undefined for what is to be ignored. Absolute names count
 * from the root of the layer, as docker has them.
 * @throws BuildError `image-invalid` for names that leave the layer or misuse whiteouts, and for overlay's own xattrs.
 */
export function layerEntryOf(member: TarMember, dataOffset: number): Entry | undefined {
  const path = memberPath(member.name);
  const name = baseName(path);
  if (
    parentPath(path)
      .split("/")
      .some((part) => part.startsWith(WHITEOUT_PREFIX))
  ) {
    // Files that aufs kept in directories of its own at the root.
    if (path.startsWith(AUFS_PREFIX)) return undefined;
    throw refuse(path, "a directory has the name of a whiteout");
  }
  if (name === OPAQUE_MARKER) return { ...implicitDirectory(parentPath(path)), opaque: true };
  if (name.startsWith(WHITEOUT_PREFIX)) {
    if (path.startsWith(AUFS_PREFIX)) return undefined;
    return whiteoutEntry(path, name.slice(WHITEOUT_PREFIX.length));
  }
  return memberEntry(member, path, dataOffset);
}

/** A member as it stands, with no meaning in its name. */
export function memberEntry(member: TarMember, path: RootfsPath, dataOffset: number): Entry {
  for (const name in member.xattrs) {
    if (isOverlayXattr(name)) throw refuse(path, `it has the extended attribute "${textFromBytes(name)}"`);
  }
  if (path === ROOT && member.type !== "directory") throw refuse(path, "the root must be a directory");
  const { mode, uid, gid, size, mtime, mtimeNs, xattrs } = member;
  const common = { path, mode, uid, gid, size, mtime, mtimeNs, ...(xattrs === undefined ? {} : { xattrs }) };
  switch (member.type) {
    case "file":
      return { ...common, type: "file", dataOffset };
    case "hardlink":
      return { ...common, type: "file", hardLinkOf: linkTargetPath(member, path) };
    case "symlink":
      if (member.linkName.length > PATH_LIMIT) throw refuse(path, "its target is too long");
      return { ...common, type: "symlink", linkTarget: member.linkName };
    case "char":
    case "block":
      return {
        ...common,
        type: member.type,
        deviceMajor: member.deviceMajor,
        deviceMinor: member.deviceMinor,
      };
    default:
      return { ...common, type: member.type };
  }
}

/** The kernel's overlay would believe them. */
export function isOverlayXattr(name: string): boolean {
  return name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.");
}

function linkTargetPath(member: TarMember, path: RootfsPath): RootfsPath {
  const target = memberPath(member.linkName);
  if (target === ROOT) throw refuse(path, "it is a hard link to the root");
  if (target.split("/").some((part) => part.startsWith(WHITEOUT_PREFIX))) {
    throw refuse(path, "it is a hard link to a whiteout");
  }
  return target;
}

function whiteoutEntry(path: RootfsPath, removed: string): Entry {
  if (removed === "" || removed === "." || removed === ".." || removed.startsWith(WHITEOUT_PREFIX)) {
    throw refuse(path, "it is a whiteout of nothing that could be there");
  }
  const parent = parentPath(path);
  const { implicit: _, ...entry } = implicitDirectory(
    (parent === ROOT ? removed : `${parent}/${removed}`) as RootfsPath,
  );
  return { ...entry, type: "whiteout", mode: 0 };
}

/** @throws BuildError `image-invalid` when the name leads out of the archive's root. */
function memberPath(name: string): RootfsPath {
  if (name === "" || name.length > PATH_LIMIT)
    throw refuse(name.slice(0, 100), "its name is empty or too long");
  if (!name.startsWith("/")) {
    let depth = 0;
    for (const part of name.split("/")) {
      if (part === "..") depth--;
      else if (part !== "" && part !== ".") depth++;
      if (depth < 0) throw refuse(name, "its name leads out of the archive");
    }
  }
  return cleanPath(name);
}

function refuse(path: string, what: string): BuildError {
  return new BuildError("image-invalid", `Cannot take "${textFromBytes(path)}" from the archive: ${what}`);
}
