import { expandWord } from "../dockerfile/expand-word.ts";
import type { Dockerfile } from "../dockerfile/instruction.ts";
import { attachSpan } from "../errors/build-error.ts";
import { suggestNearest } from "../errors/suggest-nearest.ts";
import { formatPlatform, type Platform } from "../oci/platform.ts";
import type { PlanOptions } from "./plan.ts";

/** Passed to RUN as they are; never in history or keys unless an ARG declares them. In both cases. */
const PROXY_ARGS: readonly string[] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/** Build arguments that mean something without an ARG. */
export const SPECIAL_ARGS: ReadonlySet<string> = new Set([
  ...PROXY_ARGS,
  ...PROXY_ARGS.map((name) => name.toLowerCase()),
  "BUILDKIT_INLINE_CACHE",
  "BUILDKIT_MULTI_PLATFORM",
  "BUILDKIT_SANDBOX_HOSTNAME",
  "BUILDKIT_CACHE_MOUNT_NS",
  "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
  "BUILDKIT_DOCKERFILE_CHECK",
  "BUILDKIT_BUILD_NAME",
  "BUILDKIT_SBOM_SCAN_CONTEXT",
  "BUILDKIT_SBOM_SCAN_STAGE",
  "SOURCE_DATE_EPOCH",
]);

/**
 * The ARGs before the first FROM, after the predefined ones of the platform (Dockerfile reference, "Automatic platform ARGs
 * in the global scope"). FROM sees them; a stage sees one when it declares it.
 *
 * @throws BuildError `variable-invalid` with the ARG's place.
 */
export function evaluateGlobalArgs(
  dockerfile: Dockerfile,
  options: PlanOptions,
  platform: Platform,
): ReadonlyMap<string, string> {
  const buildArgs = options.buildArgs ?? {};
  const args = predefinedArgs(dockerfile, options, platform);
  for (const name of args.keys()) if (Object.hasOwn(buildArgs, name)) args.set(name, buildArgs[name]!);
  for (const instruction of dockerfile.globalArgs) {
    for (const { name, value } of instruction.args) {
      try {
        if (Object.hasOwn(buildArgs, name)) args.set(name, buildArgs[name]!);
        else if (value !== undefined)
          args.set(name, expandWord(value, args, { escape: dockerfile.escape, suggest: suggestNearest }));
      } catch (error) {
        throw attachSpan(error, instruction.span);
      }
    }
  }
  return args;
}

function predefinedArgs(dockerfile: Dockerfile, options: PlanOptions, target: Platform): Map<string, string> {
  const build = options.buildPlatform;
  return new Map([
    ["BUILDPLATFORM", formatPlatform(build)],
    ["BUILDOS", build.os],
    ["BUILDOSVERSION", build["os.version"] ?? ""],
    ["BUILDARCH", build.architecture],
    ["BUILDVARIANT", build.variant ?? ""],
    ["TARGETPLATFORM", formatPlatform(target)],
    ["TARGETOS", target.os],
    ["TARGETOSVERSION", target["os.version"] ?? ""],
    ["TARGETARCH", target.architecture],
    ["TARGETVARIANT", target.variant ?? ""],
    ["TARGETSTAGE", options.target ?? dockerfile.stages.at(-1)?.name ?? "default"],
  ]);
}

/** The proxy settings that were passed, each in both cases, as BuildKit puts them into the environment of RUN. */
export function proxyEnvironment(buildArgs: PlanOptions["buildArgs"] = {}): readonly string[] {
  const values = new Map<string, string>();
  for (const name of Object.keys(buildArgs).sort()) {
    const upper = name.toUpperCase();
    if (PROXY_ARGS.includes(upper)) values.set(upper, buildArgs[name]!);
  }
  return [...values].flatMap(([name, value]) =>
    value === "" ? [] : [`${name}=${value}`, `${name.toLowerCase()}=${value}`],
  );
}
