/** Decides by patterns (`.dockerignore`, `--exclude`); paths are relative text, `/` between components. */
export interface IgnoreMatcher {
  excludes(path: string): boolean;
  /** True when nothing below the excluded directory can be included again, so that a walk need not enter it. */
  canSkipDirectory(path: string): boolean;
  /** The pattern that leaves a path out. */
  findPattern(path: string): string | undefined;
}

/** Made by whoever knows the language of the patterns; passed in, for this folder does not. */
export type MakeIgnoreMatcher = (patterns: readonly string[]) => IgnoreMatcher;
