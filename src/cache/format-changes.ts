import type { KeyChange } from "./explain-miss.ts";

/** How many files are named in one line. */
const FILES_SHOWN = 10;

/** One line: `3 files changed: a.ts (content), b.ts (new), run.sh (mode 0644 -> 0755)`. */
export function formatChanges(changes: readonly KeyChange[], { filesShown = FILES_SHOWN } = {}): string {
  return changes
    .map(({ message, files = [] }) => {
      if (files.length === 0) return message;
      const shown = files.slice(0, filesShown).map(({ path, change }) => `${path} (${change})`);
      const rest = files.length > filesShown ? [`and ${files.length - filesShown} more`] : [];
      return `${message}: ${[...shown, ...rest].join(", ")}`;
    })
    .join("; ");
}
