import type { BuildEvent } from "../progress/event.ts";

/** How many events wait for a reader that is slow. */
const MAX_WAITING = 10_000;

/** Hands events from whoever tells them to one reader at a time, at its pace. */
export interface EventQueue {
  add(event: BuildEvent): void;
  /** Nothing more comes. */
  end(): void;
  /** Events from now on. */
  read(): AsyncIterableIterator<BuildEvent>;
}

/** Keeps nothing while nobody reads. Of a reader that is too slow output and byte counts are left out, and a note says how many. */
export function makeEventQueue(): EventQueue {
  let waiting: BuildEvent[] = [];
  let wake: (() => void) | undefined;
  let isRead = false;
  let isEnded = false;
  let leftOut = 0;
  const take = (): BuildEvent[] => {
    const taken = waiting;
    waiting = [];
    if (leftOut > 0) {
      taken.push({ kind: "note", time: Date.now(), message: `${leftOut} events were not read in time` });
      leftOut = 0;
    }
    return taken;
  };
  async function* iterate(): AsyncGenerator<BuildEvent, void, void> {
    try {
      for (;;) {
        yield* take();
        if (waiting.length > 0) continue;
        if (isEnded) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      isRead = false;
      waiting = [];
    }
  }
  return {
    add(event) {
      if (!isRead) return;
      if (waiting.length >= MAX_WAITING && (event.kind === "log" || event.kind === "progress")) leftOut++;
      else waiting.push(event);
      wake?.();
    },
    end() {
      isEnded = true;
      wake?.();
    },
    read() {
      isRead = true;
      return iterate();
    },
  };
}
