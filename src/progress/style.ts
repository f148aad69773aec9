import { styleText } from "node:util";

export type Tone = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** Puts a text into a colour, or leaves it alone. */
export type Style = (tone: Tone, text: string) => string;

/** `color: false` makes a style that changes nothing. */
export function makeStyle(color: boolean): Style {
  return (tone, text) => (color ? styleText(tone, text, { validateStream: false }) : text);
}

/** Whether a stream is to be written to in colours: it is a terminal, and NO_COLOR (no-color.org) does not forbid it. */
export function hasColor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb";
}
