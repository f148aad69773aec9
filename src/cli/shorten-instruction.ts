const WIDTH = 60;

/** An instruction for one line of a table. */
export function shortenInstruction(text: string): string {
  return text.length > WIDTH ? `${text.slice(0, WIDTH - 1)}…` : text;
}
