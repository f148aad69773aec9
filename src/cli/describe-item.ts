import type { StoreItem } from "../index.ts";

/** What each kind is called, in the order of lists. */
export const ITEM_KINDS: Readonly<Record<StoreItem["kind"], string>> = {
  "step-layer": "Layers of steps",
  "image-layer": "Layers of images",
  unpacked: "Unpacked layers",
  blob: "Blobs",
  index: "Indexes of layers",
  "cache-mount": "Cache mounts",
  git: "Git repositories",
  leftover: "Leftovers",
  database: "Database",
  temporary: "Work in progress",
};

/** One line: what a step's layer came from. */
export function describeItem({ parts, neededBy }: StoreItem): string {
  if (parts === undefined) return neededBy === undefined ? "" : `of ${neededBy}`;
  const { kind, args, destination, path } = JSON.parse(parts) as {
    readonly kind: string;
    readonly args?: readonly string[];
    readonly destination?: string;
    readonly path?: string;
  };
  const text = args?.join(" ") ?? destination ?? path ?? "";
  return `${kind === "run" ? "RUN" : kind === "workdir" ? "WORKDIR" : "COPY to"} ${text}`.replace(
    /\s+/g,
    " ",
  );
}

/** JSON, an object a line, in the shape of docker's. */
export function formatItems(items: readonly StoreItem[]): string {
  return items
    .map((item) => ({
      ID: item.id,
      Kind: item.kind,
      SizeBytes: item.sizeBytes,
      ...(item.used !== 0 && { LastUsedAt: new Date(item.used).toISOString() }),
      InUse: item.neededBy !== undefined,
      Description: describeItem(item),
    }))
    .map((row) => `${JSON.stringify(row)}\n`)
    .join("");
}
