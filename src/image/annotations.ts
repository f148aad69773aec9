import { formatPlatform, type Platform } from "../oci/platform.ts";

/** A key and value for one of an image's documents, or for what points to it (OCI image spec 1.1, annotations.md). */
export interface Annotation {
  readonly level: "manifest" | "index" | "manifest-descriptor" | "index-descriptor";
  /** Only for the image of this platform; for all when absent. As `formatPlatform` writes it. */
  readonly platform?: string;
  readonly key: string;
  readonly value: string;
}

/** The annotations of one document; later ones win, and those for a platform over those for all. Undefined when there are none. */
export function selectAnnotations(
  annotations: readonly Annotation[],
  { level, platform }: { readonly level: Annotation["level"]; readonly platform?: Platform },
): Readonly<Record<string, string>> | undefined {
  const name = platform && formatPlatform(platform);
  const mine = annotations.filter(
    (one) => one.level === level && (one.platform === undefined || one.platform === name),
  );
  if (mine.length === 0) return undefined;
  const ordered = [
    ...mine.filter((one) => one.platform === undefined),
    ...mine.filter((one) => one.platform !== undefined),
  ];
  return Object.fromEntries(ordered.map(({ key, value }) => [key, value]));
}
