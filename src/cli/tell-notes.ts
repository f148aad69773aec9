import { cleanText } from "../progress/clean-text.ts";
import type { EventSink } from "../progress/event.ts";
import type { CommandContext } from "./command-context.ts";

/** Events of what shows no progress: notes and warnings go to stderr. */
export function tellNotes({ stderr }: CommandContext): EventSink {
  return (event) => {
    if (event.kind !== "note" && event.kind !== "warning") return;
    const word = event.kind === "note" ? "Note" : "WARNING";
    stderr.write(`${word}: ${cleanText(event.message)}\n`);
  };
}
