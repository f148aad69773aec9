import type { EventSink } from "./event.ts";
import { failEvent } from "./fail-event.ts";

/** Work that ends sooner is not worth a line. */
const SILENT_MS = 300;

export interface LongWork {
  /** Unique in a build. */
  readonly id: string;
  readonly name: string;
  /** Of its bytes. */
  readonly label: string;
  readonly totalBytes?: number;
}

/** Tells of work on bytes that is no step of the plan, once it takes longer than a moment: its name, its bytes, its end. */
export async function tellLongWork<T>(
  { emit, signal }: { readonly emit: EventSink; readonly signal: AbortSignal },
  { id, name, label, totalBytes }: LongWork,
  work: (onProgress: (progress: { readonly doneBytes: number }) => void) => Promise<T>,
): Promise<T> {
  const started = Date.now();
  let isTold = false;
  const tell = (doneBytes: number) =>
    emit({ kind: "progress", time: Date.now(), id, label, doneBytes, totalBytes });
  try {
    const result = await work(({ doneBytes }) => {
      if (Date.now() - started < SILENT_MS) return;
      if (!isTold) emit({ kind: "start", time: started, id, name });
      isTold = true;
      tell(doneBytes);
    });
    if (isTold && totalBytes !== undefined) tell(totalBytes);
    if (isTold) emit({ kind: "end", time: Date.now(), id, outcome: "done" });
    return result;
  } catch (error) {
    if (isTold) emit(failEvent(id, error, signal));
    throw error;
  }
}
