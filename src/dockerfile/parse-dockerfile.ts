import { attachSpan, BuildError, type SourceSpan } from "../errors/build-error.ts";
import { findHeredocs, type HeredocStart } from "./heredoc.ts";
import { isSpace, skipSpaces, trimSpaces } from "./is-space.ts";
import { parseArguments } from "./parse-arguments.ts";
import { parseDirective } from "./parse-directive.ts";
import { splitCommand } from "./split-command.ts";
import type {
  Directive,
  EmptyContinuation,
  EscapeCharacter,
  Heredoc,
  SyntaxNode,
  SyntaxTree,
} from "./syntax-tree.ts";

export interface ParseOptions {
  /** What the user calls the file: a path, `-` or a URL; `Dockerfile` when absent. */
  readonly file?: string;
}

/** In bytes, without the line end: BuildKit's limit for one physical line. */
const MAX_LINE_BYTES = 65_535;

/** Shared by all that have none. */
const NONE: readonly never[] = Object.freeze([]);

/** Stands for bytes that are not UTF-8. */
const REPLACEMENT = "\uFFFD";

/**
 * Parses a Dockerfile (Dockerfile reference 1.26, as BuildKit's parser reads it). Keywords and flags are not checked
 * here: `lowerInstructions` does.
 *
 * @throws BuildError `dockerfile-syntax` with the place; `input-limit` for a line that is too long.
 */
export function parseDockerfile(text: string | Uint8Array, options: ParseOptions = {}): SyntaxTree {
  const file = options.file ?? "Dockerfile";
  const { decoded, isLossy } = decode(text);
  const reader = makeReader(decoded, file);
  if (decoded === "") refuseAt(reader, 1, "the Dockerfile cannot be empty");
  const directives: Directive[] = [];
  const instructions: SyntaxNode[] = [];
  const emptyContinuations: EmptyContinuation[] = [];
  let escapeMark: EscapeCharacter = "\\";
  let mayBeDirective = true;
  let comments: readonly string[] = NONE;

  while (reader.next()) {
    const line = reader.line;
    const start = skipSpaces(line);
    const isShebang = reader.number === 1 && line.startsWith("#!");
    // DIFFERS: directives after a shebang count.
    if (mayBeDirective && !isShebang) {
      const directive = parseDirective(line.slice(start));
      mayBeDirective = directive !== undefined;
      if (directive !== undefined) {
        addDirective(directives, { ...directive, span: lineSpan(reader, reader.number) });
        if (directive.key === "escape") escapeMark = directive.value as EscapeCharacter;
        continue;
      }
    }
    if (line[start] === "#") {
      const comment = trimSpaces(line.slice(start + 1));
      if (comment === "") comments = NONE;
      else if (comments === NONE) comments = [comment];
      else (comments as string[]).push(comment);
      continue;
    }
    if (start === line.length) continue;

    const logical = readLogicalLine(reader, line.slice(start), escapeMark);
    const startLine = logical.startLine;
    const span = instructionSpan(reader, { startLine, start, first: line, endLine: reader.number });
    if (skipSpaces(logical.text) === logical.text.length) continue;
    if (logical.hasEmptyLine) {
      emptyContinuations.push({ line: logical.text, span: lineSpan(reader, reader.number) });
    }
    try {
      const node = parseNode(logical.text, { escapeMark, comments, span });
      const heredocs =
        logical.text.includes("<<") && holdsHeredocs(node)
          ? findHeredocs(logical.text).map((heredoc) => readHeredoc(reader, heredoc))
          : NONE;
      if (isLossy) checkEncoding(logical.text, heredocs);
      instructions.push(
        heredocs.length === 0 ? node : withHeredocs(node, heredocs, { ...span, endLine: reader.number }),
      );
    } catch (error) {
      throw attachSpan(error, span);
    }
    comments = NONE;
  }
  if (instructions.length === 0) refuseAt(reader, reader.number, "file with no instructions");
  return { file, text: decoded, escape: escapeMark, directives, instructions, emptyContinuations };
}

function decode(text: string | Uint8Array): { decoded: string; isLossy: boolean } {
  if (typeof text === "string") return { decoded: text.replace(/^\uFEFF/, ""), isLossy: false };
  // The decoder drops a byte order mark.
  try {
    return { decoded: new TextDecoder("utf-8", { fatal: true }).decode(text), isLossy: false };
  } catch {
    return { decoded: new TextDecoder().decode(text), isLossy: true };
  }
}

/** DIFFERS: bytes that are not UTF-8 may stand in a comment, but what is built must not differ from what is written. */
function checkEncoding(line: string, heredocs: readonly Heredoc[]): void {
  if (!line.includes(REPLACEMENT) && !heredocs.some(({ content }) => content.includes(REPLACEMENT))) return;
  throw new BuildError("dockerfile-syntax", "Cannot parse the instruction: it is not valid UTF-8");
}

interface LineReader {
  readonly file: string;
  /** Goes to the next physical line; false at the end. */
  next(): boolean;
  /** Without its line end. */
  readonly line: string;
  /** The line end. */
  readonly lineEnd: string;
  /** 1-based. */
  readonly number: number;
}

function makeReader(text: string, file: string): LineReader {
  let at = 0;
  const reader = {
    file,
    line: "",
    lineEnd: "",
    number: 0,
    next(): boolean {
      if (at >= text.length) return false;
      const newline = text.indexOf("\n", at);
      const next = newline < 0 ? text.length : newline + 1;
      let end = newline < 0 ? text.length : newline;
      while (end > at && text.charCodeAt(end - 1) === 0x0d) end--;
      reader.line = text.slice(at, end);
      reader.lineEnd = text.slice(end, next);
      reader.number++;
      at = next;
      if (isTooLong(reader.line)) {
        refuseAt(reader, reader.number, `dockerfile line greater than max allowed size of ${MAX_LINE_BYTES}`);
      }
      return true;
    },
  };
  return reader;
}

function isTooLong(line: string): boolean {
  // A UTF-16 code unit has at most three bytes.
  if (line.length * 3 <= MAX_LINE_BYTES) return false;
  return line.length > MAX_LINE_BYTES || new TextEncoder().encode(line).length > MAX_LINE_BYTES;
}

function refuseAt(reader: LineReader, line: number, problem: string): never {
  const code = problem.includes("max allowed") ? "input-limit" : "dockerfile-syntax";
  throw new BuildError(code, `Cannot parse "${reader.file}": ${problem}`, { span: lineSpan(reader, line) });
}

function lineSpan(reader: LineReader, line: number): SourceSpan {
  const number = Math.max(1, line);
  return { file: reader.file, startLine: number, endLine: number };
}

function addDirective(directives: Directive[], directive: Directive): void {
  const { key, value, span } = directive;
  if (directives.some((other) => other.key === key)) {
    throw new BuildError(
      "dockerfile-syntax",
      `Cannot use the directive "${key}" again: only one ${key} parser directive can be used`,
      { span },
    );
  }
  if (key === "escape" && value !== "\\" && value !== "`") {
    throw new BuildError(
      "dockerfile-syntax",
      `Cannot use "${value}" as the escape character: it must be \\ or \``,
      { span },
    );
  }
  directives.push(directive);
}

/** Without the escape character at the line's end; undefined when there is none, or when it is itself escaped. */
function cutContinuation(line: string, escapeMark: EscapeCharacter): string | undefined {
  let end = line.length;
  while (end > 0 && (line.charCodeAt(end - 1) === 0x20 || line.charCodeAt(end - 1) === 0x09)) end--;
  if (line[end - 1] !== escapeMark || line[end - 2] === escapeMark) return undefined;
  return line.slice(0, end - 1);
}

function readLogicalLine(reader: LineReader, first: string, escapeMark: EscapeCharacter) {
  const startLine = reader.number;
  let hasEmptyLine = false;
  let cut = cutContinuation(first, escapeMark);
  let text = cut ?? first;
  while (cut !== undefined && reader.next()) {
    const line = reader.line;
    const start = skipSpaces(line);
    if (line[start] === "#") continue;
    if (start === line.length) {
      hasEmptyLine = true;
      continue;
    }
    cut = cutContinuation(line, escapeMark);
    text += cut ?? line;
  }
  return { text, hasEmptyLine, startLine };
}

function instructionSpan(
  reader: LineReader,
  place: { startLine: number; start: number; first: string; endLine: number },
): SourceSpan {
  return {
    file: reader.file,
    startLine: place.startLine,
    endLine: place.endLine,
    startColumn: place.start + 1,
    endColumn: lengthWithoutEnd(place.first) + 1,
  };
}

/** Without the white space at the end. */
function lengthWithoutEnd(line: string): number {
  let end = line.length;
  while (end > 0 && isSpace(line.charCodeAt(end - 1))) end--;
  return end;
}

interface NodeContext {
  readonly escapeMark: EscapeCharacter;
  readonly comments: readonly string[];
  readonly span: SourceSpan;
}

function parseNode(line: string, context: NodeContext): SyntaxNode {
  const { keyword, flags, rest } = splitCommand(line);
  const lower = keyword.toLowerCase();
  const { comments, span } = context;
  // Written out: of a large file these objects are what takes the time.
  if (lower !== "onbuild") {
    const { arguments: values, isJson, pairs } = parseArguments(lower, rest, context.escapeMark);
    const node = { keyword, line, flags, arguments: values, isJson, heredocs: NONE, comments, span };
    return pairs === undefined
      ? node
      : Object.assign<typeof node, Pick<SyntaxNode, "pairs">>(node, { pairs });
  }
  const node = { keyword, line, flags, arguments: NONE, isJson: false, heredocs: NONE, comments, span };
  if (rest === "") return node;
  // Never more than one level deep: `ONBUILD ONBUILD` is refused later, and a file of them must not exhaust the stack.
  const nested = splitCommand(rest).keyword.toLowerCase();
  const trigger =
    nested === "onbuild"
      ? {
          keyword: rest.slice(0, nested.length),
          line: rest,
          flags: NONE,
          arguments: NONE,
          isJson: false,
          heredocs: NONE,
          comments: NONE,
          span,
        }
      : parseNode(rest, { ...context, comments: NONE });
  return { ...node, trigger };
}

function holdsHeredocs(node: SyntaxNode): boolean {
  const keyword = (node.trigger ?? node).keyword.toLowerCase();
  return keyword === "add" || keyword === "copy" || keyword === "run";
}

function readHeredoc(reader: LineReader, heredoc: HeredocStart): Heredoc {
  const lines: string[] = [];
  while (reader.next()) {
    const line = heredoc.chomp ? reader.line.replace(/^\t+/, "") : reader.line;
    if (line === heredoc.name) return { ...heredoc, content: lines.join("") };
    lines.push(reader.line, reader.lineEnd);
  }
  throw new BuildError(
    "dockerfile-syntax",
    `Cannot find the end of heredoc "${heredoc.name}": unterminated heredoc`,
    { hint: `Add a line that holds only ${heredoc.name}` },
  );
}

function withHeredocs(node: SyntaxNode, heredocs: readonly Heredoc[], span: SourceSpan): SyntaxNode {
  const trigger = node.trigger && { ...node.trigger, heredocs, span };
  return { ...node, heredocs, span, trigger };
}
