import type { ImageChange, ImageFile } from "../index.ts";
import { formatSize } from "../progress/format-size.ts";
import { cleanLine } from "./clean-line.ts";
import { formatEntryTime } from "./format-time.ts";

type FileChange = Extract<ImageChange, { kind: "changed" }>;

/** `mode 0644 -> 0755, owner 0:0 -> 1:1`: what differs between the two forms of an entry. */
export function describeAspects(change: FileChange): string {
  return change.what.map((aspect) => describeAspect(aspect, change)).join(", ");
}

function describeAspect(aspect: FileChange["what"][number], { before, after }: FileChange): string {
  const show = (of: (file: ImageFile) => string) => `${aspect} ${of(before)} -> ${of(after)}`;
  switch (aspect) {
    case "type":
      return show(({ type }) => type);
    case "mode":
      return show(formatMode);
    case "owner":
      return show(({ uid, gid }) => `${uid}:${gid}`);
    case "link":
      return show(({ linkTarget = "" }) => cleanLine(linkTarget));
    case "device":
      return show(({ deviceMajor, deviceMinor }) => `${deviceMajor},${deviceMinor}`);
    case "content":
      return before.sizeBytes === after.sizeBytes ? aspect : show(({ sizeBytes }) => formatSize(sizeBytes));
    case "xattrs":
      return aspect;
    case "time":
      return show(formatEntryTime);
  }
}

export function formatMode({ mode }: ImageFile): string {
  return mode.toString(8).padStart(4, "0");
}
