import { BuildError } from "../errors/build-error.ts";
import type { EventSink } from "../progress/event.ts";
import { formatSize } from "../progress/format-size.ts";
import type { Store } from "../store/open-store.ts";
import { type Reclaimed, reclaim } from "../store/reclaim.ts";

const FIRST_MS = 500;
const EVERY_MS = 2_000;
/** Looking takes at most this part of the time. */
const SHARE = 10;

/**
 * Keeps the store below a size while this process works, and once more when it is done: `[Symbol.asyncDispose]`. What images with a name
 * and running processes need stays even so, which is told.
 */
export function watchStoreSize(
  store: Store,
  { maxBytes, emit }: { readonly maxBytes: number; readonly emit: EventSink },
): AsyncDisposable {
  let isOpen = true;
  let hasTold = false;
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout;

  const tell = ({ leftBytes }: Reclaimed): void => {
    if (leftBytes <= maxBytes || hasTold) return;
    hasTold = true;
    const message = `the store takes ${formatSize(leftBytes)}, more than the ${formatSize(maxBytes)} that it may: images with a name and running builds need it`;
    emit({ kind: "warning", time: Date.now(), message });
  };
  const look = async (): Promise<void> => {
    const begun = performance.now();
    try {
      await reclaim(store, { maxBytes });
    } catch (error) {
      // Nothing that the build needs has failed.
      if (!(error instanceof BuildError)) emit({ kind: "warning", time: Date.now(), message: String(error) });
    }
    if (isOpen) schedule(Math.max(EVERY_MS, SHARE * (performance.now() - begun)));
  };
  const schedule = (delayMs: number): void => {
    timer = setTimeout(() => {
      running = look();
    }, delayMs).unref();
  };
  schedule(FIRST_MS);
  return {
    async [Symbol.asyncDispose]() {
      isOpen = false;
      clearTimeout(timer);
      await running;
      tell(await reclaim(store, { maxBytes, ignoreOwn: true }));
    },
  };
}
