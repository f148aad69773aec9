import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import { formatPlatform, type Platform } from "../oci/platform.ts";
import { parseImageReference } from "../oci/reference.ts";
import type { BuildOutput } from "./build-output.ts";

/** Checks what can be checked before anything is built. @throws BuildError `option-invalid`. */
export function checkOutputs(outputs: readonly BuildOutput[], tags: readonly string[]): void {
  for (const name of tags) parseImageReference(name);
  for (const output of outputs) {
    if (!("names" in output)) continue;
    for (const name of output.names) {
      const { tag } = parseImageReference(name);
      if (output.type === "image" && output.pushByDigest && tag !== undefined && /:[^/]*$/.test(name)) {
        throw new BuildError(
          "option-invalid",
          `Cannot push "${name}" by digest: it has the tag "${tag}", which would not be set`,
        );
      }
    }
  }
}

/**
 * What can be said against outputs once it is planned what is built, so that nothing is written before it is said.
 *
 * @throws BuildError `option-invalid`, `unsupported`.
 */
export function checkPlannedOutputs(
  outputs: readonly BuildOutput[],
  built: readonly { readonly target: string; readonly platform: Platform }[],
  { hasAttestations }: { readonly hasAttestations: boolean },
): void {
  const targets = [...new Set(built.map(({ target }) => target))];
  for (const output of outputs) {
    const target = (output.target ?? targets[0]!).toLowerCase();
    if (!targets.includes(target)) {
      throw new BuildError(
        "option-invalid",
        `Cannot write an output of "${output.target}": it is not one of the targets of this build`,
        { hint: hintNearest(target, targets) ?? `Add --target ${output.target}` },
      );
    }
    const platforms = built.filter((one) => one.target === target).map(({ platform }) => platform);
    if (output.type === "docker" && platforms.length > 1) {
      throw new BuildError(
        "unsupported",
        `Cannot write a docker archive of ${platforms.length} platforms: docker's format has no index`,
        { hint: "Use type=oci, or build for one platform" },
      );
    }
    if ("names" in output) checkAnnotations(output, platforms, hasAttestations);
  }
}

function checkAnnotations(
  { annotations = [] }: Extract<BuildOutput, { readonly names: unknown }>,
  platforms: readonly Platform[],
  hasAttestations: boolean,
): void {
  const names = platforms.map(formatPlatform);
  for (const { level, platform } of annotations) {
    if (platform !== undefined && !names.includes(platform)) {
      throw new BuildError(
        "option-invalid",
        `Cannot annotate the image for ${platform}: it is not built for that platform`,
        { hint: `Platforms are ${names.join(", ")}` },
      );
    }
    if (!level.startsWith("index") || platforms.length > 1 || hasAttestations) continue;
    throw new BuildError(
      "option-invalid",
      "Cannot annotate the index: index annotations are not supported for one platform, whose image has no index",
      { hint: "Write manifest: or manifest-descriptor: in place of index: or index-descriptor:" },
    );
  }
}
