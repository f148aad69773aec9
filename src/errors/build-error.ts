/** A place in a text: 1-based lines and columns, `end` inclusive of the last line. */
export interface SourceSpan {
  /** What the user called the file: a path, `-` or a URL. */
  readonly file: string;
  readonly startLine: number;
  readonly endLine: number;
  /** 1-based, in UTF-16 code units; absent when the whole line is meant. */
  readonly startColumn?: number;
  /** Exclusive; only with `startColumn` and on `startLine`. */
  readonly endColumn?: number;
}

/** Every expected failure has one of these codes; `docs/errors.md` says what each means. */
export type BuildErrorCode =
  | "aborted"
  | "authentication"
  | "check-failed"
  | "context"
  | "copy-source-missing"
  | "copy-failed"
  | "dockerfile-syntax"
  | "environment"
  | "fetch-failed"
  | "image-invalid"
  | "image-not-found"
  | "input-limit"
  | "not-image"
  | "not-permitted"
  | "option-invalid"
  | "output-failed"
  | "registry"
  | "run-failed"
  | "sandbox"
  | "stage-unknown"
  | "store"
  | "unsupported"
  | "variable-invalid"
  | "verification";

export interface BuildErrorDetail {
  readonly span?: SourceSpan;
  /** One line that says how to mend it, e.g. `Did you mean "builder"?`. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** For a failed RUN: its exit code and the last lines of its output. */
  readonly exitCode?: number;
  readonly logTail?: readonly string[];
}

/**
 * An expected failure: the user can do something about it. Bugs throw a plain `Error`.
 * The message reads `Cannot <verb> "<value>": <what is true now>`, without a full stop.
 */
export class BuildError extends Error {
  readonly code: BuildErrorCode;
  readonly span: SourceSpan | undefined;
  readonly hint: string | undefined;
  readonly exitCode: number | undefined;
  readonly logTail: readonly string[] | undefined;

  constructor(code: BuildErrorCode, message: string, detail: BuildErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = "BuildError";
    this.code = code;
    this.span = detail.span;
    this.hint = detail.hint;
    this.exitCode = detail.exitCode;
    this.logTail = detail.logTail;
  }
}

/** The same error with the place attached, unless it has one already. A bug passes through unchanged. */
export function attachSpan(error: unknown, span: SourceSpan): unknown {
  if (!(error instanceof BuildError) || error.span !== undefined) return error;
  return new BuildError(error.code, error.message, {
    span,
    hint: error.hint,
    cause: error.cause,
    exitCode: error.exitCode,
    logTail: error.logTail,
  });
}
