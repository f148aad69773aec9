import { templateError } from "./template-error.ts";

/** A piece of a template: text as it is, or what stands between `{{` and `}}`. */
export type TemplatePiece =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "action"; readonly tokens: readonly Token[]; readonly source: string };

export interface Token {
  readonly kind: "string" | "number" | "variable" | "field" | "dot" | "word" | "mark";
  /** As it is written; of a string what it means. */
  readonly text: string;
  /** Stands right behind the token before it: `.A.B` against `.A .B`. */
  readonly isAttached: boolean;
}

const TOKEN =
  /(?<space>\s+)|(?<quoted>"(?:[^"\\\n]|\\.)*")|(?<raw>`[^`]*`)|(?<char>'(?:[^'\\]|\\.)+')|(?<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?))|(?<variable>\$[\p{L}\p{N}_]*)|(?<field>\.[\p{L}_][\p{L}\p{N}_]*)|(?<dot>\.)|(?<word>[\p{L}_][\p{L}\p{N}_]*)|(?<mark>:=|[|(),=])/uy;

/** Cuts a template into texts and actions (Go's text/template), with `{{-` and `-}}` and comments done. */
export function scanTemplate(template: string): TemplatePiece[] {
  const pieces: TemplatePiece[] = [];
  let at = 0;
  let trimsNext = false;
  const addText = (end: number, trimsEnd: boolean) => {
    let text = template.slice(at, end);
    if (trimsNext) text = text.trimStart();
    if (trimsEnd) text = text.trimEnd();
    if (text !== "") pieces.push({ kind: "text", text });
  };
  for (;;) {
    const open = template.indexOf("{{", at);
    if (open < 0) break;
    const trims = /^-\s/.test(template.slice(open + 2, open + 4));
    addText(open, trims);
    const begin = open + (trims ? 3 : 2);
    const comment = /^\s*\/\*.*?\*\/(?:\s+-)?\s*\}\}/s.exec(template.slice(begin))?.[0];
    const action = comment === undefined ? scanAction(template, begin) : undefined;
    at = action?.end ?? begin + comment!.length;
    trimsNext = /\s-\}\}$/.test(template.slice(begin, at));
    if (action !== undefined) {
      pieces.push({ kind: "action", tokens: action.tokens, source: template.slice(open, at) });
    }
  }
  addText(template.length, false);
  return pieces;
}

function scanAction(template: string, begin: number): { readonly tokens: Token[]; readonly end: number } {
  const tokens: Token[] = [];
  let isAttached = false;
  for (let at = begin; ; ) {
    const end = /^(?:\s+-)?\}\}/.exec(template.slice(at, at + 64))?.[0] ?? "";
    if (end !== "") return { tokens, end: at + end.length };
    TOKEN.lastIndex = at;
    const groups = TOKEN.exec(template)?.groups;
    if (groups === undefined) {
      if (at >= template.length) throw templateError("unclosed action");
      throw templateError(`unexpected ${JSON.stringify(template[at])} in an action`);
    }
    const [kind, text] = Object.entries(groups).find(([, value]) => value !== undefined)!;
    at += text.length;
    if (kind !== "space") tokens.push({ ...makeToken(kind, text), isAttached });
    isAttached = kind !== "space";
  }
}

function makeToken(kind: string, text: string): Omit<Token, "isAttached"> {
  if (kind === "quoted") return { kind: "string", text: unquote(text) };
  if (kind === "raw") return { kind: "string", text: text.slice(1, -1) };
  if (kind === "char") {
    return { kind: "number", text: String(unquote(`"${text.slice(1, -1)}"`).codePointAt(0)) };
  }
  return { kind: kind as Token["kind"], text };
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

function unquote(text: string): string {
  return text
    .slice(1, -1)
    .replace(/\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))/gs, (...groups) => {
      const [, x, u, long, octal, other] = groups as (string | undefined)[];
      const hex = x ?? u ?? long;
      const code = hex === undefined ? octal && Number.parseInt(octal, 8) : Number.parseInt(hex, 16);
      if (typeof code === "number") {
        if (code > 0x10ffff) throw templateError(`${text} has a character that does not exist`);
        return String.fromCodePoint(code);
      }
      return ESCAPES[other!] ?? other!;
    });
}
