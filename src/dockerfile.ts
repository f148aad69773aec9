/**
 * `slipway/dockerfile`: the Dockerfile language for editors and tools. Nothing here reads files, the environment or the network, and all of
 * it runs in a browser. docs/dockerfile.md shows it.
 */
// biome-ignore-all lint/performance/noBarrelFile: an entry of what the package exports
export { CHECK_NAMES, type CheckName, type CheckRule, checkRule } from "./dockerfile/check-rules.ts";
export { type ExpandOptions, expandWord, expandWords } from "./dockerfile/expand-word.ts";
export { formatSyntaxTree } from "./dockerfile/format-syntax-tree.ts";
export type { Dockerfile, Instruction, Stage } from "./dockerfile/instruction.ts";
export {
  type BaseFacts,
  type LintOptions,
  type LintResult,
  type LintWarning,
  lintDockerfile,
} from "./dockerfile/lint-dockerfile.ts";
export { listTargets, type Target } from "./dockerfile/list-targets.ts";
export { lowerInstructions } from "./dockerfile/lower-instructions.ts";
export { type IgnoreMatcher, makeIgnoreMatcher, parseIgnoreFile } from "./dockerfile/make-ignore-matcher.ts";
export { type ParseOptions, parseDockerfile } from "./dockerfile/parse-dockerfile.ts";
export { type GitReference, parseGitReference } from "./dockerfile/parse-git-reference.ts";
export type {
  Directive,
  EmptyContinuation,
  EscapeCharacter,
  Heredoc,
  SyntaxNode,
  SyntaxPair,
  SyntaxTree,
} from "./dockerfile/syntax-tree.ts";
export type { Environment } from "./dockerfile/variable.ts";
export {
  BuildError,
  type BuildErrorCode,
  type BuildErrorDetail,
  type SourceSpan,
} from "./errors/build-error.ts";
export { type FaultPlace, findFault } from "./errors/find-fault.ts";
export type { ImageConfig } from "./oci/image-config.ts";
export { formatPlatform, type Platform, parsePlatform } from "./oci/platform.ts";
export { formatImageReference, type ImageReference, parseImageReference } from "./oci/reference.ts";
export { type Outline, type OutlineArg, type OutlineSecret, outlineBuild } from "./plan/outline-build.ts";
export type { ImageBase, ImageNeed, NamedContext, Plan, PlanOptions, Step } from "./plan/plan.ts";
export { planBuild } from "./plan/plan-build.ts";
