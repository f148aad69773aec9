import type { EventSink } from "./event.ts";

/** What a renderer writes to: stderr. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  on?(event: "resize", listener: () => void): unknown;
  off?(event: "resize", listener: () => void): unknown;
}

/** Shows a build's events to people. Close it before anything else is written to the stream. */
export interface ProgressRenderer {
  readonly emit: EventSink;
  /** Writes what is held back and stops; `isDone` says whether all went well. */
  close(isDone: boolean): void;
}
