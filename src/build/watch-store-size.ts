import { BuildError } from "../errors/build-error.ts";
import type { EventSink } from "../progress/event.ts";
import { formatSize } from "../progress/format-size.ts";
import { listenForGrowth } from "../store/growth.ts";
import type { Store } from "../store/open-store.ts";
import { type Reclaimed, reclaim } from "../store/reclaim.ts";

const FIRST_MS = 500;
const EVERY_MS = 2_000;
/** Looking takes at most this part of the time where it is of no use: at times, and as long as all that is there is needed. */
const SHARE = 10;

/**
 * Keeps the store below a size while this process works, and once more when it is done: `[Symbol.asyncDispose]`. What this process adds
 * is counted as it comes, and room is made before its step counts as done; what others add, and what grows without being told (cache
 * mounts), is looked for at times. What images with a name and running processes need stays even so, which is told.
 */
export function watchStoreSize(
  store: Store,
  { maxBytes, emit }: { readonly maxBytes: number; readonly emit: EventSink },
): AsyncDisposable {
  let isOpen = true;
  let hasTold = false;
  let timer: NodeJS.Timeout;
  /** Of the store when it was looked at last, with what has come since; it has not been looked at yet. */
  let bytes = Number.POSITIVE_INFINITY;
  let came: (() => Promise<number>)[] = [];
  let restUntil = 0;
  /** One after the other. */
  let working: Promise<void> = Promise.resolve();

  const tell = ({ leftBytes }: Reclaimed): void => {
    if (leftBytes <= maxBytes || hasTold) return;
    hasTold = true;
    const message = `the store takes ${formatSize(leftBytes)}, more than the ${formatSize(maxBytes)} that it may: images with a name and running builds need it`;
    emit({ kind: "warning", time: Date.now(), message });
  };
  const add = (work: () => Promise<void>): void => {
    working = working.then(work).catch((error) => {
      // Nothing that the build needs has failed.
      if (!(error instanceof BuildError)) emit({ kind: "warning", time: Date.now(), message: String(error) });
    });
  };
  const look = async (): Promise<void> => {
    const begun = performance.now();
    came = [];
    bytes = (await reclaim(store, { maxBytes })).leftBytes;
    const ended = performance.now();
    restUntil = bytes > maxBytes ? ended + SHARE * (ended - begun) : 0;
  };
  const count = async (): Promise<void> => {
    for (const measure of came.splice(0)) bytes += await measure();
    if (bytes > maxBytes && performance.now() >= restUntil) await look();
  };
  const lookAtTimes = async (): Promise<void> => {
    const begun = performance.now();
    try {
      await look();
    } finally {
      if (isOpen) schedule(Math.max(EVERY_MS, SHARE * (performance.now() - begun)));
    }
  };
  const schedule = (delayMs: number): void => {
    timer = setTimeout(() => add(lookAtTimes), delayMs).unref();
  };
  schedule(FIRST_MS);
  listenForGrowth(store, {
    grew(measure) {
      came.push(measure);
      if (came.length === 1) add(count);
    },
    settled: () => working,
  });
  return {
    async [Symbol.asyncDispose]() {
      isOpen = false;
      clearTimeout(timer);
      await working;
      tell(await reclaim(store, { maxBytes, ignoreOwn: true }));
    },
  };
}
