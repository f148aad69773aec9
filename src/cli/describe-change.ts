import { formatSize } from "../progress/format-size.ts";
import type { ChangedAspect, TreeChange } from "../rootfs/compare-trees.ts";
import type { Entry } from "../rootfs/entry.ts";
import { textFromBytes } from "../rootfs/rootfs-path.ts";
import type { TreeEntry } from "../rootfs/union-tree.ts";
import { cleanLine } from "./clean-line.ts";
import { formatEntryTime } from "./format-time.ts";

/** `mode 0644 -> 0755, owner 0:0 -> 1:1`: what differs between the two forms of an entry. */
export function describeAspects(change: Extract<TreeChange, { kind: "changed" }>): string {
  return change.what.map((aspect) => describeAspect(aspect, change)).join(", ");
}

function describeAspect(
  aspect: ChangedAspect,
  { before, after }: { readonly before: TreeEntry; readonly after: TreeEntry },
): string {
  const show = (of: (entry: Entry) => string) => `${aspect} ${of(before.entry)} -> ${of(after.entry)}`;
  switch (aspect) {
    case "type":
      return show((entry) => entry.type);
    case "mode":
      return show(formatMode);
    case "owner":
      return show(({ uid, gid }) => `${uid}:${gid}`);
    case "link":
      return show(({ linkTarget = "" }) => cleanLine(textFromBytes(linkTarget)));
    case "device":
      return show(({ deviceMajor, deviceMinor }) => `${deviceMajor},${deviceMinor}`);
    case "content":
      return before.entry.size === after.entry.size ? aspect : show(({ size }) => formatSize(size));
    case "xattrs":
      return aspect;
    case "time":
      return show(formatEntryTime);
  }
}

export function formatMode({ mode }: Entry): string {
  return mode.toString(8).padStart(4, "0");
}
