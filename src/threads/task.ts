/** What a task sees of the thread that it runs in. */
export interface TaskContext {
  /** The bytes that the caller passes as `input`; empty when there are none. May be read once. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Aborts when the caller's signal does; noticed only between awaits. */
  readonly signal: AbortSignal;
  /** For loops of synchronous calls. @throws the abort error once the caller's signal has aborted. */
  throwIfAborted(): void;
  /** Tells the caller something while the task goes on (structured clone). */
  emit(event: unknown): void;
  /** Runs a task in whichever thread of the pool has least to do, this one included. */
  run<Result>(name: string, input: unknown, options?: SubtaskOptions): Promise<Result>;
  /** How many threads the pool has. */
  readonly poolSize: number;
}

export interface SubtaskOptions {
  /** Array buffers that change hands instead of being copied. */
  readonly transfer?: readonly ArrayBuffer[];
}

/**
 * One kind of work, run in a worker thread: takes and returns structured-cloneable values. Synchronous calls are welcome
 * in it. A `BuildError` that it throws arrives at the caller as a `BuildError`.
 */
// biome-ignore lint/suspicious/noExplicitAny: each task knows its own input
export type Task = (input: any, context: TaskContext) => unknown;

export type Tasks = Readonly<Record<string, Task>>;

/** Wraps a task's result so that the buffers in it change hands instead of being copied. */
export class Transferred {
  readonly value: unknown;
  readonly buffers: readonly ArrayBuffer[];

  constructor(value: unknown, buffers: readonly ArrayBuffer[]) {
    this.value = value;
    this.buffers = buffers;
  }
}
