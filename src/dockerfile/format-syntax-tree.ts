import type { SyntaxNode, SyntaxTree } from "./syntax-tree.ts";

/** The tree as s-expressions, one line an instruction: `(from "alpine" "AS" "x")`. Ends in a newline. */
export function formatSyntaxTree(tree: SyntaxTree): string {
  return tree.instructions.map((node) => `${formatNode(node)}\n`).join("");
}

function formatNode(node: SyntaxNode): string {
  const parts = [node.keyword.toLowerCase()];
  if (node.flags.length > 0) parts.push(`[${node.flags.map(quoteText).join(" ")}]`);
  parts.push(...node.arguments.map(quoteText));
  for (const { key, value, hasEquals } of node.pairs ?? []) {
    parts.push(quoteText(key), quoteText(value), quoteText(hasEquals ? "=" : ""));
  }
  if (node.trigger !== undefined) parts.push(formatNode(node.trigger));
  return `(${parts.join(" ")})`;
}

const NAMED_ESCAPES: Readonly<Record<string, string>> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
  '"': '\\"',
};

/** In double quotes, with the escapes of Go's `strconv.Quote`, which BuildKit's history entries have as well. */
export function quoteText(text: string): string {
  // Nearly all; the classes of Unicode below take V8 two milliseconds to compile.
  if (/^[ !#-[\]-~]*$/.test(text)) return `"${text}"`;
  // What Go does not print as it is: other than letters, marks, numbers, punctuation, symbols and the ASCII space.
  const escaped = text.replace(/[\\"]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, (char) => {
    const named = NAMED_ESCAPES[char];
    if (named !== undefined) return named;
    const code = char.codePointAt(0)!;
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, "0")}`;
    if (code < 0x10000) return `\\u${code.toString(16).padStart(4, "0")}`;
    return `\\U${code.toString(16).padStart(8, "0")}`;
  });
  return `"${escaped}"`;
}
