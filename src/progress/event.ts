import type { SourceSpan } from "../errors/build-error.ts";

/** What a build tells while it goes on. Times are milliseconds since 1970. The library yields these; only `cli/` draws them. */
export type BuildEvent =
  | { readonly kind: "note"; readonly time: number; readonly message: string; readonly span?: SourceSpan }
  | {
      readonly kind: "warning";
      readonly time: number;
      readonly message: string;
      readonly span?: SourceSpan;
      /** The finding of a build check; `message` is its detail. */
      readonly check?: { readonly rule: string; readonly description: string; readonly url: string };
    }
  /** A piece of work begins: a step of the plan, a pull, an export. `id` is unique in a build. */
  | {
      readonly kind: "start";
      readonly time: number;
      readonly id: string;
      readonly name: string;
      readonly stage?: string;
    }
  /** Output of a RUN, as it came: may be part of a line. */
  | {
      readonly kind: "log";
      readonly time: number;
      readonly id: string;
      readonly stream: "stdout" | "stderr";
      readonly data: Uint8Array;
    }
  /** How far bytes have come; `totalBytes` is absent when unknown. */
  | {
      readonly kind: "progress";
      readonly time: number;
      readonly id: string;
      readonly label: string;
      readonly doneBytes: number;
      readonly totalBytes?: number;
    }
  | {
      readonly kind: "end";
      readonly time: number;
      readonly id: string;
      readonly outcome: "done" | "cached" | "failed" | "canceled";
      /** Why it failed. */
      readonly error?: string;
    };

/** Takes events in the order in which they happen; must not throw. */
export type EventSink = (event: BuildEvent) => void;
