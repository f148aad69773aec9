import {
  type BaseFacts,
  type LintOptions,
  type LintResult,
  type LintWarning,
  lintDockerfile,
} from "../dockerfile/lint-dockerfile.ts";
import { lowerInstructions } from "../dockerfile/lower-instructions.ts";
import { BuildError } from "../errors/build-error.ts";
import { formatPlatform, normalizePlatform, type Platform } from "../oci/platform.ts";
import { makeContextLookup } from "../plan/named-context.ts";
import type { ImageBase, Plan } from "../plan/plan.ts";
import type { BuildInputs } from "./open-inputs.ts";
import { makeImageFinder } from "./resolve-plan.ts";

/**
 * The checks of a build, over the stages that it needs: what they find is told as warnings.
 *
 * @throws BuildError `check-failed` when the Dockerfile wants findings to fail the build.
 */
export function lintBuild(
  inputs: BuildInputs,
  { plan, bases }: { readonly plan: Plan; readonly bases: readonly ImageBase[] },
): void {
  const { emit } = inputs.session;
  const leftOut = new Set(plan.leftOut.map(({ span }) => span.startLine));
  const stages = new Set(
    lowerInstructions(inputs.syntax).stages.flatMap(({ span }, i) => (leftOut.has(span.startLine) ? [] : i)),
  );
  const { warnings, failsBuild, unknownChecks } = lintDockerfile(inputs.syntax, {
    ...lintOptions(inputs),
    stages,
    findBase: makeBaseFinder(inputs, bases),
  });
  tellUnknown(unknownChecks, inputs);
  for (const { rule, detail, description, url, span } of warnings) {
    emit({
      kind: "warning",
      time: Date.now(),
      message: detail,
      span,
      check: { rule, description, url },
    });
  }
  if (failsBuild) throw failedChecks(warnings);
}

/**
 * The checks over all stages. The configs of base images are fetched for them; DIFFERS: where one cannot be had, its checks are
 * left out with a note.
 *
 * @throws BuildError as `lintDockerfile`.
 */
export async function lintAllStages(
  inputs: BuildInputs,
  options: { readonly pull?: boolean },
): Promise<LintResult> {
  const { session } = inputs;
  const find = makeImageFinder(session, options);
  const bases: ImageBase[] = [];
  const asked = new Set<string>();
  for (;;) {
    const wanted: { readonly reference: string; readonly platform: Platform }[] = [];
    const known = makeBaseFinder(inputs, bases);
    const result = lintDockerfile(inputs.syntax, {
      ...lintOptions(inputs),
      findBase(name, platform) {
        const reference = referenceOf(inputs, name);
        const key = `${formatPlatform(platform)} ${reference}`;
        if (reference !== undefined && !asked.has(key)) {
          asked.add(key);
          wanted.push({ reference, platform });
        }
        return known(name, platform);
      },
    });
    if (wanted.length === 0) {
      tellUnknown(result.unknownChecks, inputs);
      return result;
    }
    const found = wanted.map(async (base): Promise<readonly ImageBase[]> => {
      try {
        return [{ ...base, config: (await find(base)).config }];
      } catch (error) {
        if (!(error instanceof BuildError) || session.signal.aborted) throw error;
        const message = `Checked without knowing the image "${base.reference}": ${error.message}`;
        session.emit({ kind: "note", time: Date.now(), message });
        return [];
      }
    });
    bases.push(...(await Promise.all(found)).flat());
  }
}

/** DIFFERS: a misspelt name would switch off nothing, silently. */
function tellUnknown(unknown: LintResult["unknownChecks"], { session, syntax }: BuildInputs): void {
  const directive = syntax.directives.find(({ key }) => key === "check")?.span;
  for (const { name, hint, span = directive } of unknown) {
    const message = `There is no check "${name}"${hint === undefined ? "" : `. ${hint}`}`;
    session.emit({ kind: "warning", time: Date.now(), message, span });
  }
}

function lintOptions({ planOptions, tree }: BuildInputs): LintOptions {
  const { buildArgs, platforms, buildPlatform } = planOptions;
  return {
    buildArgs,
    platform: platforms[0] && normalizePlatform(platforms[0]),
    buildPlatform,
    ignorePatterns: tree.kind === "directory" ? tree.ignorePatterns : tree.unfiltered?.ignorePatterns,
  };
}

function makeBaseFinder(
  inputs: BuildInputs,
  bases: readonly ImageBase[],
): (name: string, platform: Platform) => BaseFacts | undefined {
  const key = (reference: string, platform: Platform) => `${formatPlatform(platform)} ${reference}`;
  const byKey = new Map(bases.map((base) => [key(base.reference, base.platform), base.config]));
  return (name, platform) => {
    const reference = referenceOf(inputs, name);
    const config = reference === undefined ? undefined : byKey.get(key(reference, platform));
    return config && { env: config.config?.Env, platform: config };
  };
}

/** The image that FROM means by a name; a named context may stand in its place. */
function referenceOf({ planOptions }: BuildInputs, name: string): string | undefined {
  const context = makeContextLookup(planOptions.namedContexts)(name);
  if (context === undefined) return name;
  return context.kind === "image" ? context.reference : undefined;
}

function failedChecks(warnings: readonly LintWarning[]): BuildError {
  const rules = [...new Set(warnings.map(({ rule }) => rule))];
  return new BuildError(
    "check-failed",
    `Cannot build "${warnings[0]!.span.file}": its check directive says error=true, and there are findings of ${rules.join(", ")}`,
    { span: warnings[0]!.span, hint: `To allow it, write "# check=skip=${rules[0]}" above the instruction` },
  );
}
