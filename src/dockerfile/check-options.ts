import { BuildError, type SourceSpan } from "../errors/build-error.ts";
import { hintNearest, makeSuggester, type Suggester } from "../errors/suggest-nearest.ts";
import { CHECK_NAMES, type CheckName, checkRule } from "./check-rules.ts";

/** Which checks run, and whether a finding fails the build: the `check` directive. */
export interface CheckOptions {
  readonly skip: readonly string[];
  readonly skipAll: boolean;
  readonly experimental: readonly string[];
  readonly experimentalAll: boolean;
  readonly isError: boolean;
}

export const DEFAULT_CHECK_OPTIONS: CheckOptions = {
  skip: [],
  skipAll: false,
  experimental: [],
  experimentalAll: false,
  isError: false,
};

/**
 * Reads `skip=A,B|all;error=bool;experimental=A|all`: the value of the directive, of a comment above an instruction, or
 * of the build argument BUILDKIT_DOCKERFILE_CHECK.
 *
 * @throws BuildError `option-invalid`.
 */
export function parseCheckOptions(text: string): CheckOptions {
  let options = DEFAULT_CHECK_OPTIONS;
  for (const part of text.split(";")) {
    if (part.trim() === "") continue;
    const equals = part.indexOf("=");
    const key = (equals < 0 ? part : part.slice(0, equals)).trim();
    const value = equals < 0 ? "" : part.slice(equals + 1).trim();
    if (equals < 0) throw invalid(text, `invalid check option "${part.trim()}"`);
    switch (key) {
      case "skip":
        options = value === "all" ? { ...options, skipAll: true } : { ...options, skip: splitNames(value) };
        break;
      case "experimental":
        options =
          value === "all"
            ? { ...options, experimentalAll: true }
            : { ...options, experimental: splitNames(value) };
        break;
      case "error":
        if (!/^(?:1|t|true|0|f|false)$/i.test(value))
          throw invalid(text, `"${value}" is neither true nor false`);
        options = { ...options, isError: /^(?:1|t)/i.test(value) };
        break;
      default:
        throw invalid(
          text,
          `invalid check option "${key}"`,
          hintNearest(key, ["skip", "error", "experimental"]),
        );
    }
  }
  return options;
}

function invalid(text: string, problem: string, hint?: string): BuildError {
  return new BuildError("option-invalid", `Cannot use the check options "${text}": ${problem}`, { hint });
}

function splitNames(value: string): readonly string[] {
  return value.split(",").map((name) => name.trim());
}

/** The options with those of the comments above an instruction (`# check=skip=RULE`) added. A comment that is no options is a comment. */
export function mergeCommentOptions(options: CheckOptions, comments: readonly string[]): CheckOptions {
  const all = [options];
  for (const comment of comments) {
    const match = /^check\s*=\s*(.+)$/.exec(comment);
    if (match === null) continue;
    try {
      all.push(parseCheckOptions(match[1]!));
    } catch (error) {
      if (!(error instanceof BuildError)) throw error;
    }
  }
  if (all.length === 1) return options;
  return {
    ...options,
    skip: all.flatMap(({ skip }) => skip),
    skipAll: all.some(({ skipAll }) => skipAll),
    experimental: all.flatMap(({ experimental }) => experimental),
    experimentalAll: all.some(({ experimentalAll }) => experimentalAll),
  };
}

/** Whether a check runs. Skipping does not touch experimental checks: those are asked for by name. */
export function isCheckOn(name: CheckName, options: CheckOptions): boolean {
  if (checkRule(name).isExperimental) return options.experimentalAll || options.experimental.includes(name);
  return !options.skipAll && !options.skip.includes(name);
}

/** A name that no check has, with the one that may have been meant. */
export interface UnknownCheck {
  readonly name: string;
  readonly hint?: string;
  /** The instruction below the comment that has it; absent for the directive and the build argument. */
  readonly span?: SourceSpan;
}

/** Names in the options that no check has. */
export function findUnknownChecks(
  options: CheckOptions,
  suggest: Suggester = makeSuggester(),
): readonly UnknownCheck[] {
  const unknown = [...options.skip, ...options.experimental].filter(
    (name) => name !== "" && !CHECK_NAMES.includes(name as CheckName),
  );
  return unknown.map((name) => {
    const nearest = suggest(name, CHECK_NAMES);
    return { name, hint: nearest && `Did you mean "${nearest}"?` };
  });
}
