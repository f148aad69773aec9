import type { SourceSpan } from "../errors/build-error.ts";

/** A Dockerfile, parsed but not interpreted: every keyword is accepted, no flag is checked. */
export interface SyntaxTree {
  /** What the user called the file. */
  readonly file: string;
  /** The text, without a byte order mark; lines count from 1. */
  readonly text: string;
  readonly escape: EscapeCharacter;
  /** The directives at the top of the file, in their order. */
  readonly directives: readonly Directive[];
  readonly instructions: readonly SyntaxNode[];
  /** Instructions with an empty line between their continuation lines. */
  readonly emptyContinuations: readonly EmptyContinuation[];
}

export type EscapeCharacter = "\\" | "`";

/** `# key=value` at the top of the file. */
export interface Directive {
  /** In lower case. */
  readonly key: "syntax" | "escape" | "check";
  /** Everything after the `=`, trimmed. */
  readonly value: string;
  readonly span: SourceSpan;
}

/** One instruction, which may be several lines with continuations and heredocs. */
export interface SyntaxNode {
  /** As written, in any case. */
  readonly keyword: string;
  /** The logical line: comments and line continuations are gone, heredoc bodies are not part of it. */
  readonly line: string;
  /** `--name=value`, quotes taken off, in the order in which they stand. */
  readonly flags: readonly string[];
  /** Split as the instruction has it; empty for ENV and LABEL (`pairs`) and ONBUILD (`trigger`). */
  readonly arguments: readonly string[];
  /** ENV and LABEL. */
  readonly pairs?: readonly SyntaxPair[];
  /** The arguments were a JSON array of strings. */
  readonly isJson: boolean;
  /** ONBUILD: the instruction after it. */
  readonly trigger?: SyntaxNode;
  readonly heredocs: readonly Heredoc[];
  /** The comment lines directly above, without `#`, trimmed; an empty comment line forgets those before it. */
  readonly comments: readonly string[];
  /** From the keyword to the last line, heredocs included. */
  readonly span: SourceSpan;
}

export interface SyntaxPair {
  readonly key: string;
  /** Quotes and variables untouched. */
  readonly value: string;
  /** False for the old form `ENV key value`. */
  readonly hasEquals: boolean;
}

/** `<<NAME` and the lines up to NAME. */
export interface Heredoc {
  readonly name: string;
  /** As written, the line ends included; tabs of `<<-` are still there (`chompHeredoc`). */
  readonly content: string;
  /** False when part of the name was quoted. */
  readonly expand: boolean;
  /** `<<-`: leading tabs of each line do not count. */
  readonly chomp: boolean;
  /** `3<<NAME`; 0 when absent. */
  readonly fileDescriptor: number;
}

export interface EmptyContinuation {
  /** The logical line. */
  readonly line: string;
  /** The last line of the instruction before its heredocs, where BuildKit reports it. */
  readonly span: SourceSpan;
}
