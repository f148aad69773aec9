import { BuildError } from "../errors/build-error.ts";
import { expandWords } from "./expand-word.ts";
import type { Heredoc } from "./syntax-tree.ts";

/** A heredoc before its body is read. */
export type HeredocStart = Omit<Heredoc, "content">;

const HEREDOC = /^(\d*)<<(-?)[\s\v]*([^<]*)$/;

/**
 * `<<NAME`, `<<-NAME`, `3<<NAME`, the name quoted or not, as one word; undefined for any other word.
 *
 * @throws BuildError `variable-invalid` when a quote in the name is not closed.
 */
export function parseHeredocWord(word: string): HeredocStart | undefined {
  const match = HEREDOC.exec(word);
  if (match === null || match[3] === "") return undefined;
  const rest = match[3]!;
  const [name, ...others] = expandWords(rest, {}, { keepUnset: true });
  if (name === undefined || others.length > 0) return undefined;
  const [rawName] = expandWords(rest, {}, { keepUnset: true, rawQuotes: true });
  return {
    name,
    expand: countQuotes(name) === countQuotes(rawName ?? ""),
    chomp: match[2] === "-",
    fileDescriptor: Number(match[1] || 0),
  };
}

/**
 * The heredocs that a logical line begins, in their order. A line that is no well-formed shell text (an open quote) begins none.
 *
 * @throws BuildError as `parseHeredocWord`.
 */
export function findHeredocs(line: string): readonly HeredocStart[] {
  if (!line.includes("<<")) return [];
  let words: readonly string[];
  try {
    words = expandWords(
      line,
      {},
      { keepUnset: true, rawQuotes: true, rawEscapes: true, maxLength: 2 * line.length },
    );
  } catch (error) {
    if (error instanceof BuildError) return [];
    throw error;
  }
  return words.flatMap((word) => parseHeredocWord(word) ?? []);
}

/** The text of a `<<-` heredoc: without the tabs at the start of each line. */
function chompHeredoc(content: string): string {
  return content.replace(/^\t+/gm, "");
}

/** A heredoc's text as it counts: chomped when it is a `<<-`. */
export function heredocText(heredoc: Heredoc): string {
  return heredoc.chomp ? chompHeredoc(heredoc.content) : heredoc.content;
}

function countQuotes(text: string): number {
  return text.match(/['"]/g)?.length ?? 0;
}
