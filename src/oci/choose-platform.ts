import type { Descriptor } from "./descriptor.ts";
import { formatPlatform, isSamePlatform, normalizePlatform, type Platform } from "./platform.ts";

/**
 * The entry of an index that suits a platform best, as containerd's `platforms.Only` (v1.0) orders them: the same platform, then
 * what its processors also run (arm/v7 runs v6 and v5, arm64 runs arm/v8 to v5, amd64/v3 runs v2 and v1, amd64 runs 386). Of equals
 * the first one. An entry without a platform is the last resort: its config says whether it suits.
 *
 * @returns undefined when none suits.
 */
export function choosePlatform<Entry extends { readonly platform?: Platform }>(
  entries: readonly Entry[],
  wanted: Platform,
): Entry | undefined {
  for (const candidate of listCompatiblePlatforms(wanted)) {
    const match = entries.find((entry) => entry.platform !== undefined && suits(entry.platform, candidate));
    if (match !== undefined) return match;
  }
  return entries.find((entry) => entry.platform === undefined);
}

/** Whether an image of `offered` runs where `wanted` is asked for. */
export function isCompatiblePlatform(offered: Platform, wanted: Platform): boolean {
  return listCompatiblePlatforms(wanted).some((candidate) => suits(offered, candidate));
}

/** The platforms that run where `wanted` runs, best first. */
function listCompatiblePlatforms(wanted: Platform): Platform[] {
  const normal = normalizePlatform(wanted);
  const other = (architecture: string, variant?: string): Platform =>
    normalizePlatform({ ...normal, architecture, variant });
  switch (normal.architecture) {
    case "amd64":
      return [normal, ...countDown(normal.variant, 1).map((v) => other("amd64", `v${v}`)), other("386")];
    case "arm":
      return [normal, ...countDown(normal.variant, 5).map((v) => other("arm", `v${v}`))];
    case "arm64":
      return [
        normal,
        ...listArm64Variants(normal.variant).map((v) => other("arm64", v)),
        ...["v8", "v7", "v6", "v5"].map((v) => other("arm", v)),
      ];
    default:
      return [normal];
  }
}

function suits(offered: Platform, candidate: Platform): boolean {
  if (!isSamePlatform(offered, candidate)) return false;
  const features = candidate["os.features"] ?? [];
  return (offered["os.features"] ?? []).every((feature) => features.includes(feature));
}

/** The versions below `v<n>`, down to `lowest`. */
function countDown(variant: string | undefined, lowest: number): number[] {
  const version = /^v(\d+)$/.exec(variant ?? "")?.[1];
  const list: number[] = [];
  for (let v = Number(version ?? 0) - 1; v >= lowest; v--) list.push(v);
  return list;
}

/** v9.x is compatible with v9.(x-1) and with v8.(x+5); below v8.1 is plain v8. */
function listArm64Variants(variant: string | undefined): string[] {
  const match = /^v([89])(?:\.(\d))?$/.exec(variant ?? "v8");
  if (match === null) return [];
  const minor = Number(match[2] ?? 0);
  const below = (major: number, from: number) => {
    const list: string[] = [];
    for (let m = from; m >= 0; m--) list.push(m === 0 ? `v${major}` : `v${major}.${m}`);
    return list;
  };
  return match[1] === "9" ? [...below(9, minor - 1), ...below(8, minor + 5)] : below(8, minor - 1);
}

/** `linux/amd64, linux/arm64`: what an index offers, for an error message. Attestations (`unknown/unknown`) are left out. */
export function describePlatforms(entries: readonly { readonly platform?: Platform }[]): string {
  const names = entries.flatMap(({ platform }) =>
    platform === undefined || platform.os === "unknown" ? [] : [formatPlatform(normalizePlatform(platform))],
  );
  return [...new Set(names)].join(", ");
}

/** Attestations stand in an index as manifests for a platform that nobody has. */
export function isImage(entry: Pick<Descriptor, "annotations" | "platform">): boolean {
  return (
    entry.platform?.os !== "unknown" &&
    entry.annotations?.["vnd.docker.reference.type"] !== "attestation-manifest"
  );
}
