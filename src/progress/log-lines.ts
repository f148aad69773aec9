import { StringDecoder } from "node:string_decoder";

/** A line without an end is given out when it is this long, in chars. */
const LINE_MAX = 16_384;

/** Cuts output into lines. A carriage return begins a line anew, as progress bars use it. */
export interface LogLines {
  /** The lines that are complete now. */
  add(data: Uint8Array): readonly string[];
  /** What is left at the end of the output. */
  end(): readonly string[];
  /** The line that has begun. */
  readonly open: string;
}

/** Chunks may end inside a line and inside a character. */
export function makeLogLines(): LogLines {
  const decoder = new StringDecoder("utf8");
  let open = "";
  const take = (text: string): string[] => {
    const parts = (open + text).split("\n");
    open = parts.pop()!;
    if (open.length > LINE_MAX) {
      parts.push(open);
      open = "";
    }
    return parts.map(lastOverwrite);
  };
  return {
    add: (data) => take(decoder.write(Buffer.from(data.buffer, data.byteOffset, data.length))),
    end() {
      const lines = take(decoder.end());
      const rest = lastOverwrite(open);
      open = "";
      return rest === "" ? lines : [...lines, rest];
    },
    get open() {
      return lastOverwrite(open);
    },
  };
}

/** What a terminal would show of a line with carriage returns. */
function lastOverwrite(line: string): string {
  const parts = line.split("\r");
  return parts.findLast((part) => part !== "") ?? "";
}
