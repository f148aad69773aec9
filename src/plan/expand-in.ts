import { expandWord, expandWords } from "../dockerfile/expand-word.ts";
import type { EscapeCharacter } from "../dockerfile/syntax-tree.ts";
import { suggestNearest } from "../errors/suggest-nearest.ts";
import { type CopyBudget, type StageState, spendText } from "./stage-state.ts";

/** In characters, of a heredoc's text with its variables expanded. */
const MAX_BODY_LENGTH = 64 << 20;

/**
 * Expands one word of an instruction in the environment of its stage.
 *
 * @throws BuildError `variable-invalid`; `input-limit` when the build's words grow without measure.
 */
export function expandIn(state: StageState, word: string, escapeMark: EscapeCharacter): string {
  return charge(
    state.budget,
    word,
    expandWord(word, state.env, { escape: escapeMark, budget: state.budget, suggest: suggestNearest }),
  );
}

/** `expandIn`, for a word that may become several. */
export function expandAllIn(state: StageState, word: string, escapeMark: EscapeCharacter): readonly string[] {
  const words = expandWords(word, state.env, {
    escape: escapeMark,
    budget: state.budget,
    suggest: suggestNearest,
  });
  for (const one of words) charge(state.budget, "", one);
  return words;
}

/** Expands the text of a heredoc: quotes are ordinary characters, and the escape directive does not reach into it. */
export function expandBodyIn(state: StageState, text: string): string {
  return charge(
    state.budget,
    text,
    expandWord(text, state.env, {
      ignoreQuotes: true,
      maxLength: MAX_BODY_LENGTH,
      budget: state.budget,
      suggest: suggestNearest,
    }),
  );
}

function charge(budget: CopyBudget, word: string, result: string): string {
  if (result.length > word.length) spendText(budget, result.length - word.length);
  return result;
}
