import type { ChangedAspect, TreeChange } from "./compare-trees.ts";
import type { Entry, EntryType } from "./entry.ts";
import { pathToText, textFromBytes } from "./rootfs-path.ts";

/** A path of an image for people and programs: names are text, and bytes that are not UTF-8 are replaced. */
export interface ImageFile {
  /** `/etc/passwd` */
  readonly path: string;
  readonly type: EntryType;
  /** Permission bits with setuid, setgid, sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** 0 for everything but regular files. */
  readonly sizeBytes: number;
  /** Whole seconds since 1970; `mtimeNs` is the rest. */
  readonly mtime: number;
  readonly mtimeNs: number;
  readonly linkTarget?: string;
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
}

/** What differs between two images at one path. */
export type ImageChange =
  | { readonly kind: "added"; readonly after: ImageFile }
  | { readonly kind: "removed"; readonly before: ImageFile }
  | {
      readonly kind: "changed";
      readonly before: ImageFile;
      readonly after: ImageFile;
      /** Never empty. */
      readonly what: readonly ChangedAspect[];
    };

export function toImageFile({ path, size, linkTarget, ...entry }: Entry): ImageFile {
  const { type, mode, uid, gid, mtime, mtimeNs, deviceMajor, deviceMinor } = entry;
  return {
    path: pathToText(path),
    type,
    mode,
    uid,
    gid,
    sizeBytes: size,
    mtime,
    mtimeNs,
    ...(linkTarget !== undefined && { linkTarget: textFromBytes(linkTarget) }),
    ...(deviceMajor !== undefined && { deviceMajor, deviceMinor }),
  };
}

export function toImageChange(change: TreeChange): ImageChange {
  switch (change.kind) {
    case "added":
      return { kind: "added", after: toImageFile(change.after.entry) };
    case "removed":
      return { kind: "removed", before: toImageFile(change.before.entry) };
    case "changed": {
      const { kind, what, before, after } = change;
      return { kind, what, before: toImageFile(before.entry), after: toImageFile(after.entry) };
    }
  }
}
