import { scanTemplate, type TemplatePiece, type Token } from "./scan-template.ts";
import { templateError } from "./template-error.ts";

/** Go's text/template, without `define`, `template` and `block`. */
export type Template = readonly TemplateNode[];

export type TemplateNode =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "action"; readonly pipeline: Pipeline }
  | { readonly kind: "break" | "continue" }
  | {
      readonly kind: "if" | "with" | "range";
      readonly pipeline: Pipeline;
      readonly body: Template;
      readonly otherwise: Template;
    };

export interface Pipeline {
  /** What it declares (`$x := …`) or assigns (`$x = …`); two for `range $i, $e := …`. */
  readonly variables: readonly string[];
  readonly declares: boolean;
  /** Each gets what the one before it gives as its last argument. */
  readonly commands: readonly (readonly Operand[])[];
  /** For messages. */
  readonly source: string;
}

/** The first word of a command may be a function; fields are looked up in what stands before them. */
export interface Operand {
  readonly base:
    | { readonly kind: "literal"; readonly value: string | number | boolean | null }
    | { readonly kind: "dot" }
    | { readonly kind: "variable" | "function"; readonly name: string }
    | { readonly kind: "pipeline"; readonly pipeline: Pipeline };
  readonly fields: readonly string[];
}

/** @throws BuildError `option-invalid`, with Go's words. */
export function parseTemplate(text: string): Template {
  const pieces = scanTemplate(text)[Symbol.iterator]();
  const { nodes, end } = parseNodes(pieces, { isInner: false, isInRange: false });
  if (end !== undefined) throw templateError(`unexpected ${end.source}`);
  return nodes;
}

type Action = Extract<TemplatePiece, { kind: "action" }>;

interface Place {
  readonly isInner: boolean;
  readonly isInRange: boolean;
}

/** Up to the `else` or `end` that closes them. */
function parseNodes(
  pieces: Iterator<TemplatePiece>,
  place: Place,
): { readonly nodes: Template; readonly end?: Action } {
  const nodes: TemplateNode[] = [];
  for (let next = pieces.next(); !next.done; next = pieces.next()) {
    const piece = next.value;
    if (piece.kind === "text") {
      nodes.push(piece);
      continue;
    }
    const [first, ...rest] = piece.tokens;
    const word = first?.kind === "word" ? first.text : undefined;
    switch (word) {
      case "end":
      case "else":
        return { nodes, end: piece };
      case "if":
      case "with":
      case "range":
        nodes.push(parseBlock(pieces, { action: piece, kind: word, tokens: rest }, place));
        break;
      case "break":
      case "continue":
        if (!place.isInRange) throw templateError(`{{${word}}} outside {{range}}`);
        nodes.push({ kind: word });
        break;
      case "define":
      case "template":
      case "block":
        throw templateError(`${piece.source}: ${word} is not supported`);
      default:
        nodes.push({
          kind: "action",
          pipeline: new PipelineParser(piece.tokens, piece.source).whole("command"),
        });
    }
  }
  if (place.isInner) throw templateError("unexpected EOF: an {{end}} is missing");
  return { nodes };
}

function parseBlock(
  pieces: Iterator<TemplatePiece>,
  block: {
    readonly action: Action;
    readonly kind: "if" | "with" | "range";
    readonly tokens: readonly Token[];
  },
  place: Place,
): TemplateNode {
  const { action, kind, tokens } = block;
  const pipeline = new PipelineParser(tokens, action.source).whole(kind);
  const inner = { isInner: true, isInRange: place.isInRange || kind === "range" };
  const { nodes: body, end } = parseNodes(pieces, inner);
  if (end!.tokens[0]!.text === "end") return { kind, pipeline, body, otherwise: [] };
  const [, word, ...rest] = end!.tokens;
  if (word !== undefined) {
    // `{{else if X}}` is an `if` in the other branch, which shares this one's end.
    if (kind === "range" || word.kind !== "word" || word.text !== kind)
      throw templateError(`unexpected ${end!.source}`);
    return {
      kind,
      pipeline,
      body,
      otherwise: [parseBlock(pieces, { action: end!, kind, tokens: rest }, place)],
    };
  }
  const { nodes: otherwise, end: last } = parseNodes(pieces, { ...place, isInner: true });
  if (last!.tokens[0]!.text !== "end") throw templateError(`unexpected ${last!.source}`);
  return { kind, pipeline, body, otherwise };
}

class PipelineParser {
  readonly #tokens: readonly Token[];
  readonly #source: string;
  #at = 0;

  constructor(tokens: readonly Token[], source: string) {
    this.#tokens = tokens;
    this.#source = source;
  }

  whole(what: string): Pipeline {
    if (this.#tokens.length === 0) throw templateError(`missing value for ${what}`);
    const pipeline = this.#pipeline();
    if (this.#at < this.#tokens.length) throw this.#unexpected();
    return pipeline;
  }

  #pipeline(): Pipeline {
    const { variables, declares } = this.#variables();
    const commands = [this.#command()];
    while (this.#takeMark("|")) commands.push(this.#command());
    return { variables, declares, commands, source: this.#source };
  }

  #variables(): Pick<Pipeline, "variables" | "declares"> {
    const [first, second, third, fourth] = this.#tokens.slice(this.#at);
    const isMark = (token: Token | undefined) =>
      token?.kind === "mark" && (token.text === ":=" || token.text === "=");
    if (first?.kind !== "variable") return { variables: [], declares: false };
    if (isMark(second)) {
      this.#at += 2;
      return { variables: [first.text], declares: second!.text === ":=" };
    }
    if (second?.text === "," && third?.kind === "variable" && isMark(fourth)) {
      this.#at += 4;
      return { variables: [first.text, third.text], declares: fourth!.text === ":=" };
    }
    return { variables: [], declares: false };
  }

  #command(): Operand[] {
    const operands: Operand[] = [];
    for (;;) {
      const token = this.#tokens[this.#at];
      if (token === undefined || (token.kind === "mark" && token.text !== "(")) break;
      if (operands.length > 0 && token.isAttached) throw this.#unexpected();
      operands.push(this.#operand());
    }
    if (operands.length === 0) throw this.#unexpected();
    return operands;
  }

  #operand(): Operand {
    const base = this.#base();
    const fields = base.fields.slice();
    for (
      let next = this.#tokens[this.#at];
      next?.kind === "field" && next.isAttached;
      next = this.#tokens[this.#at]
    ) {
      fields.push(next.text.slice(1));
      this.#at++;
    }
    return { ...base, fields };
  }

  #base(): Operand {
    const token = this.#tokens[this.#at]!;
    this.#at++;
    switch (token.kind) {
      case "string":
        return { base: { kind: "literal", value: token.text }, fields: [] };
      case "number":
        return { base: { kind: "literal", value: Number(token.text) }, fields: [] };
      case "dot":
        return { base: { kind: "dot" }, fields: [] };
      case "field":
        return { base: { kind: "dot" }, fields: [token.text.slice(1)] };
      case "variable":
        return { base: { kind: "variable", name: token.text }, fields: [] };
      case "word":
        return { base: readWord(token.text), fields: [] };
      case "mark": {
        const pipeline = this.#pipeline();
        if (!this.#takeMark(")")) throw this.#unexpected();
        return { base: { kind: "pipeline", pipeline }, fields: [] };
      }
    }
  }

  #takeMark(text: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== "mark" || token.text !== text) return false;
    this.#at++;
    return true;
  }

  #unexpected(): Error {
    const token = this.#tokens[this.#at];
    return templateError(`${this.#source}: unexpected ${token === undefined ? "end" : `"${token.text}"`}`);
  }
}

function readWord(word: string): Operand["base"] {
  if (word === "true" || word === "false") return { kind: "literal", value: word === "true" };
  if (word === "nil") return { kind: "literal", value: null };
  return { kind: "function", name: word };
}
