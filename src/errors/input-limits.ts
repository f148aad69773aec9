import { BuildError } from "./build-error.ts";

/*
 * What protects this machine from input that is larger than it looks. All limits that a user can raise are here. Those that no honest
 * input comes near stand where they are asked for, and nobody can raise them. docs/limits.md lists both.
 */

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** By the names that users know: sizes in bytes, numbers of things, and one factor. */
const DEFAULTS = {
  /** A Dockerfile or an ignore file. */
  "dockerfile-size": 16 * MIB,
  /** A tar that is the build context, unpacked; the files of a git repository. */
  "context-size": 8 * GIB,
  /** One download, one fetch of git, or an archive for `load` and `import`. */
  "download-size": 32 * GIB,
  /** A manifest, an index of manifests or a layout's index.json. */
  "manifest-size": 4 * MIB,
  /** An image's config. */
  "config-size": 8 * MIB,
  /** How many times larger than its compressed form an archive or a layer may be; asked only above `FREE_EXPANSION`. */
  expansion: 100,
  /** Members of an archive, with the directories that their names imply. */
  "archive-entries": 500_000,
  /** Members of an image's layer, with the directories that their names imply. */
  "layer-entries": 5_000_000,
  /** All that a tar says about one member in front of it: pax records, long names. */
  "header-size": MIB,
  /** A path in a tar: Linux opens none that is longer. */
  "name-size": 4096,
} as const;

export type LimitName = keyof typeof DEFAULTS;
export type InputLimits = Readonly<Record<LimitName, number>>;

export const DEFAULT_LIMITS: InputLimits = DEFAULTS;
export const LIMIT_NAMES = Object.keys(DEFAULTS) as readonly LimitName[];

/** For what passed its limits when it came in. */
export const NO_LIMITS = Object.fromEntries(
  LIMIT_NAMES.map((name) => [name, Number.POSITIVE_INFINITY]),
) as InputLimits;

/** In bytes: what is no larger than this when it is unpacked hurts nobody, however small it was. */
const FREE_EXPANSION = GIB;

/** Whether the limit is in bytes. */
export function isSizeLimit(name: LimitName): boolean {
  return name.endsWith("-size");
}

/**
 * @param what the message up to the limit: `Cannot read the archive: it is larger`.
 */
export function makeLimitError(name: LimitName, what: string, limits: InputLimits): BuildError {
  const value = isSizeLimit(name) ? "SIZE" : "NUMBER";
  return new BuildError(
    "input-limit",
    `${what} than the limit of ${formatLimit(name, limits[name])} (${name})`,
    {
      hint: `If you trust it, raise the limit with --limit ${name}=${value}`,
    },
  );
}

function formatLimit(name: LimitName, limit: number): string {
  if (!isSizeLimit(name)) return name === "expansion" ? `${limit} times` : String(limit);
  if (limit >= GIB && limit % GIB === 0) return `${limit / GIB} GiB`;
  return limit >= MIB && limit % MIB === 0 ? `${limit / MIB} MiB` : `${limit} bytes`;
}

/**
 * Watches how large something compressed becomes. The function takes the bytes that it has unpacked to so far.
 *
 * @param what as for `makeLimitError`: `Cannot read the archive: unpacked it is larger`.
 */
export function makeExpansionCheck(
  compressedBytes: number,
  { what, limits }: { readonly what: string; readonly limits: InputLimits },
): (plainBytes: number) => void {
  const most = Math.max(FREE_EXPANSION, compressedBytes * limits.expansion);
  return (plainBytes) => {
    if (plainBytes > most) throw makeLimitError("expansion", what, limits);
  };
}
