import type { Directive } from "./syntax-tree.ts";

const DIRECTIVE = /^([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/;
const KEYS: ReadonlySet<string> = new Set(["syntax", "escape", "check"]);

/** The parts of a directive: `# key=value`; undefined for any other line, which ends the directives. */
export function parseDirective(line: string, commentMark = "#"): Omit<Directive, "span"> | undefined {
  if (!line.startsWith(commentMark)) return undefined;
  const match = DIRECTIVE.exec(line.slice(commentMark.length).trimStart());
  if (match === null) return undefined;
  const key = match[1]!.toLowerCase();
  return KEYS.has(key) ? { key: key as Directive["key"], value: match[2]! } : undefined;
}

export interface FoundDirective {
  /** The first word of the value: an image reference, or options. */
  readonly value: string;
  /** The whole value. */
  readonly line: string;
  /** 1-based; 0 for the JSON form, which has none. */
  readonly lineNumber: number;
}

/**
 * Looks for one directive at the top of a text, without parsing the rest: what is asked for may be a language of its own.
 * `syntax` may also stand in a `//` comment or in JSON (`{"syntax": "..."}`), as BuildKit detects frontends.
 */
export function findDirective(text: string, key: Directive["key"]): FoundDirective | undefined {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/, 16);
  const marks = key === "syntax" ? ["#", "//"] : ["#"];
  for (const mark of marks) {
    for (let i = lines[0]!.startsWith("#!") ? 1 : 0; i < lines.length; i++) {
      const directive = parseDirective(lines[i]!, mark);
      if (directive === undefined) break;
      if (directive.key === key) {
        return { value: directive.value.split(" ", 1)[0]!, line: directive.value, lineNumber: i + 1 };
      }
    }
  }
  return key === "syntax" ? findJsonSyntax(text) : undefined;
}

function findJsonSyntax(text: string): FoundDirective | undefined {
  if (!text.trimStart().startsWith("{")) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  const value = (parsed as { readonly syntax?: unknown }).syntax;
  return typeof value === "string" ? { value, line: value, lineNumber: 0 } : undefined;
}
