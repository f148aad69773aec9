import { cleanText } from "../progress/clean-text.ts";

/** A path for a line of output: a name with a line end in it would look like two. */
export function cleanLine(path: string): string {
  return cleanText(path.replaceAll("\n", "?"));
}
