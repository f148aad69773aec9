import { isSpace } from "./is-space.ts";

/** Builds words: what `add` gets may end a word, what `addRaw` gets may not. */
export interface WordList {
  add(text: string): void;
  addRaw(text: string): void;
  /** The words, without empty ones. */
  finish(): readonly string[];
}

export function makeWordList(): WordList {
  const words: string[] = [];
  let word = "";
  const end = () => {
    if (word !== "") words.push(word);
    word = "";
  };
  return {
    add(text) {
      let from = 0;
      for (let at = 0; at <= text.length; at++) {
        if (at < text.length && !isSpace(text.charCodeAt(at))) continue;
        word += text.slice(from, at);
        if (at < text.length) end();
        from = at + 1;
      }
    },
    addRaw(text) {
      word += text;
    },
    finish() {
      end();
      return words;
    },
  };
}
