/** How much of the end of a log an error shows. */
const LINES = 20;
const BYTES = 8_192;

/** Keeps the last lines of a log, whatever its length. */
export interface LogTail {
  add(data: Uint8Array): void;
  lines(): readonly string[];
}

export function makeLogTail(): LogTail {
  let kept = Buffer.alloc(0);
  return {
    add(data) {
      kept = Buffer.concat([kept, data]).subarray(-BYTES);
    },
    lines: () => kept.toString("utf8").replace(/\n$/, "").split(/\r?\n/).slice(-LINES),
  };
}
