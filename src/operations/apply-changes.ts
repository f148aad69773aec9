import { lowerInstructions } from "../dockerfile/lower-instructions.ts";
import { parseDockerfile } from "../dockerfile/parse-dockerfile.ts";
import { BuildError } from "../errors/build-error.ts";
import type { ContainerConfig, ImageConfig } from "../oci/image-config.ts";
import { machinePlatform } from "../oci/machine-platform.ts";
import type { Platform } from "../oci/platform.ts";
import { planBuild } from "../plan/plan-build.ts";

/** As messages call the text of the changes. */
export const CHANGES_FILE = "--change";
/** Stands for the image that the changes are made to. */
const BASE = "base";
/** docker's list for `import` and `commit`. */
const ALLOWED = [
  "cmd",
  "entrypoint",
  "env",
  "expose",
  "healthcheck",
  "label",
  "onbuild",
  "stopsignal",
  "user",
  "volume",
  "workdir",
];

/** The text that an error's span for these changes points into: line 1 is not the user's. */
export function changesText(changes: readonly string[]): string {
  return [`FROM ${BASE}`, ...changes, ""].join("\n");
}

/**
 * The config of an image without one, after Dockerfile instructions that only change configs.
 *
 * @throws BuildError for an instruction that is wrong or does more.
 */
export function applyChanges(changes: readonly string[], platform: Platform): ContainerConfig {
  const base: ImageConfig = {
    ...platform,
    config: {},
    rootfs: { type: "layers", diff_ids: [] },
    history: [],
  };
  const syntax = parseDockerfile(changesText(changes), { file: CHANGES_FILE });
  const stages = lowerInstructions(syntax).stages;
  for (const { kind, span } of stages[0]!.instructions) {
    if (ALLOWED.includes(kind)) continue;
    throw new BuildError(
      "option-invalid",
      `Cannot change the image with ${kind.toUpperCase()}: it is no change of its config`,
      {
        hint: `Changes are ${ALLOWED.map((name) => name.toUpperCase()).join(", ")}`,
        span,
      },
    );
  }
  if (stages.length > 1) {
    throw new BuildError(
      "option-invalid",
      "Cannot change the image with FROM: it is no change of its config",
      {
        span: stages[1]!.span,
      },
    );
  }
  const options = { platforms: [platform], buildPlatform: machinePlatform() };
  const plan = planBuild(syntax, options, [{ reference: BASE, platform, config: base }]);
  if ("needs" in plan) throw new Error("the changes ask for another image");
  return withoutDefaults(plan.outputs[0]!.config.config ?? {}, changes);
}

/** A build gives an image without a PATH the usual one; an import does not. */
function withoutDefaults(
  { ArgsEscaped: _, ...config }: ContainerConfig,
  changes: readonly string[],
): ContainerConfig {
  if (changes.some((change) => change.includes("PATH"))) return config;
  const env = config.Env?.filter((variable) => !variable.startsWith("PATH="));
  const { Env: __, ...rest } = config;
  return env === undefined || env.length === 0 ? rest : { ...rest, Env: env };
}
