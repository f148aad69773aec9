import type { Entry, EntryType } from "./entry.ts";
import { OPAQUE_MARKER, WHITEOUT_PREFIX } from "./member-entry.ts";
import { baseName, joinPath, parentPath, ROOT } from "./rootfs-path.ts";
import type { TarMember, TarMemberType } from "./tar-member.ts";

const MEMBER_TYPE: Readonly<Record<Exclude<EntryType, "whiteout">, TarMemberType>> = {
  file: "file",
  directory: "directory",
  symlink: "symlink",
  fifo: "fifo",
  char: "char",
  block: "block",
};

/**
 * The tar members that say an entry, in the order in which they are written: none for a directory that the layer does not
 * list, a second one for an opaque directory's marker. Files of one inode after the first are hard links to it.
 */
export function membersOf(entry: Entry): TarMember[] {
  const { path, type, mtime, mode, uid, gid } = entry;
  if (type === "whiteout")
    return [markerMember(joinPath(parentPath(path), WHITEOUT_PREFIX + baseName(path)), mtime)];
  const members: TarMember[] = [];
  if (!entry.implicit) {
    const isLink = entry.hardLinkOf !== undefined && (entry.foreignLink || entry.hardLinkOf !== path);
    members.push({
      name: path === ROOT ? "./" : path,
      type: isLink ? "hardlink" : MEMBER_TYPE[type],
      mode,
      uid,
      gid,
      size: isLink ? 0 : entry.size,
      mtime,
      mtimeNs: 0,
      linkName: isLink ? entry.hardLinkOf! : (entry.linkTarget ?? ""),
      deviceMajor: entry.deviceMajor ?? 0,
      deviceMinor: entry.deviceMinor ?? 0,
      ...(entry.xattrs === undefined ? {} : { xattrs: entry.xattrs }),
    });
  }
  if (entry.opaque) members.push(markerMember(joinPath(path, OPAQUE_MARKER), mtime));
  return members;
}

function markerMember(name: string, mtime: number): TarMember {
  const nothing = {
    mode: 0,
    uid: 0,
    gid: 0,
    size: 0,
    mtimeNs: 0,
    linkName: "",
    deviceMajor: 0,
    deviceMinor: 0,
  };
  return { ...nothing, name, type: "file", mtime };
}
