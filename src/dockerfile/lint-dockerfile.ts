import type { SourceSpan } from "../errors/build-error.ts";
import { BuildError } from "../errors/build-error.ts";
import { makeSuggester, type Suggester } from "../errors/suggest-nearest.ts";
import type { Platform } from "../oci/platform.ts";
import { checkFile } from "./check-file.ts";
import {
  type CheckOptions,
  DEFAULT_CHECK_OPTIONS,
  findUnknownChecks,
  isCheckOn,
  mergeCommentOptions,
  parseCheckOptions,
  type UnknownCheck,
} from "./check-options.ts";
import { type CheckName, checkRule } from "./check-rules.ts";
import { checkStages } from "./check-stages.ts";
import { MAX_PATTERN_WORK } from "./expand-word.ts";
import type { Dockerfile } from "./instruction.ts";
import { lowerInstructions } from "./lower-instructions.ts";
import type { SyntaxTree } from "./syntax-tree.ts";

/** What the checks know of the build; every field may be left out. */
export interface LintOptions {
  readonly buildArgs?: Readonly<Record<string, string>>;
  /** `linux/amd64` when absent. */
  readonly platform?: Platform;
  readonly buildPlatform?: Platform;
  /** Numbers of the stages to look into; all when absent. What concerns the whole file is always checked. */
  readonly stages?: ReadonlySet<number>;
  /** The patterns of the ignore file, for CopyIgnoredFile. */
  readonly ignorePatterns?: readonly string[];
  /** The config of a base image, by the name that FROM gives after expansion, where it is known. */
  readonly findBase?: (name: string, platform: Platform) => BaseFacts | undefined;
}

export interface BaseFacts {
  /** `NAME=value`. */
  readonly env?: readonly string[];
  readonly platform?: Platform;
}

/** A finding of a check. */
export interface LintWarning {
  readonly rule: CheckName;
  readonly detail: string;
  readonly description: string;
  readonly url: string;
  readonly level: 1;
  readonly span: SourceSpan;
}

export interface LintResult {
  /** By line, then by detail. */
  readonly warnings: readonly LintWarning[];
  /** The check directive says `error=true` and there is a finding: a build must fail. */
  readonly failsBuild: boolean;
  /** Names in the directive and in comments above instructions that no check has; they do nothing. */
  readonly unknownChecks: readonly UnknownCheck[];
}

/** Takes a finding, unless it is switched off for the whole file or by a comment above the instruction. */
export type Report = (finding: {
  readonly rule: CheckName;
  readonly detail: string;
  readonly span: SourceSpan;
  readonly comments?: readonly string[];
}) => void;

/**
 * Runs BuildKit's 22 build checks over a Dockerfile. The directive `check` and the build argument
 * BUILDKIT_DOCKERFILE_CHECK, which goes before it, choose among them.
 *
 * @throws BuildError `dockerfile-syntax` for instructions that are wrong; `option-invalid` for wrong check options;
 * `input-limit` for a file that grows without measure when its variables are expanded.
 */
export function lintDockerfile(tree: SyntaxTree, options: LintOptions = {}): LintResult {
  const dockerfile = lowerInstructions(tree);
  const checks = readCheckOptions(tree, options);
  const warnings: LintWarning[] = [];
  const report: Report = ({ rule, detail, span, comments = [] }) => {
    if (!isCheckOn(rule, mergeCommentOptions(checks, comments))) return;
    const { description, url } = checkRule(rule);
    warnings.push({ rule, detail, description, url, level: 1, span });
  };
  const suggest = makeSuggester();
  const budget = { inherited: 1_000_000, textLeft: 64 << 20, patternWork: MAX_PATTERN_WORK };
  checkFile({ tree, dockerfile, options, report, suggest });
  checkStages({ dockerfile, options, report, suggest, budget });
  warnings.sort(
    (a, b) => a.span.startLine - b.span.startLine || (a.detail < b.detail ? -1 : a.detail > b.detail ? 1 : 0),
  );
  return {
    warnings,
    failsBuild: checks.isError && warnings.length > 0,
    unknownChecks: [...findUnknownChecks(checks, suggest), ...findUnknownInComments(dockerfile, suggest)],
  };
}

function findUnknownInComments({ stages }: Dockerfile, suggest: Suggester): readonly UnknownCheck[] {
  const commented = stages.flatMap((stage) => [stage, ...stage.instructions]);
  return commented
    .filter(({ comments }) => comments.length > 0)
    .flatMap(({ comments, span }) =>
      findUnknownChecks(mergeCommentOptions(DEFAULT_CHECK_OPTIONS, comments), suggest).map((unknown) => ({
        ...unknown,
        span,
      })),
    );
}

function readCheckOptions(tree: SyntaxTree, options: LintOptions): CheckOptions {
  const argument = options.buildArgs?.BUILDKIT_DOCKERFILE_CHECK;
  if (argument !== undefined) return parseCheckOptions(argument);
  const directive = tree.directives.find(({ key }) => key === "check");
  if (directive === undefined) return DEFAULT_CHECK_OPTIONS;
  try {
    // What follows a blank is a comment: `skip=all // for now`.
    return parseCheckOptions(directive.value.split(" ", 1)[0]!);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    throw new BuildError(error.code, error.message, { span: directive.span, hint: error.hint });
  }
}
