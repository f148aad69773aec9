import { BuildError } from "../errors/build-error.ts";

/** What newer kernels have, or not every machine, and what slipway does without. */
const FEATURES = {
  /** Linux 5.2, fsopen(2) and its like; without them mount(2), and neither of the next two. */
  fsopen: true,
  /** Linux 5.10: overlays without syncs; without it an unmount waits for the disk. */
  volatile: true,
  /** Linux 6.7: any number of lower directories, one by one; without it links with short names. */
  "lowerdir+": true,
  /** Linux 6.12: layers mounted from their tar; without it they are unpacked. */
  erofs: true,
  /** Without them neither limits nor device rules. */
  cgroups: true,
} as const;

export type Feature = keyof typeof FEATURES;

/**
 * Whether `SLIPWAY_DISABLE` (names with commas between) says to do without.
 *
 * @throws BuildError `option-invalid` for a name that is no feature.
 */
export function isDisabled(feature: Feature): boolean {
  return readDisabled(process.env.SLIPWAY_DISABLE).has(feature);
}

/** @throws BuildError `option-invalid` for a name that is no feature. */
export function readDisabled(text = ""): ReadonlySet<string> {
  const names = text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  for (const name of names) {
    if (Object.hasOwn(FEATURES, name)) continue;
    throw new BuildError("option-invalid", `Cannot do without "${name}": there is no such feature`, {
      hint: `SLIPWAY_DISABLE takes ${Object.keys(FEATURES).join(", ")}`,
    });
  }
  return new Set(names);
}
