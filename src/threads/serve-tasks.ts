import { parentPort, workerData } from "node:worker_threads";
import {
  type MessageToPool,
  type MessageToWorker,
  type Outcome,
  receiveError,
  sendError,
} from "./message.ts";
import { type TaskContext, type Tasks, Transferred } from "./task.ts";

interface Run {
  readonly abort: AbortController;
  readonly bytes: ByteQueue;
}

/**
 * The worker's side of a thread pool: called once, by the file that a worker thread starts with.
 * @throws Error when the thread is no worker.
 */
export function serveTasks(tasks: Tasks): void {
  const port = parentPort;
  if (port === null) throw new Error("serveTasks() runs in a worker thread");
  const { poolSize } = workerData as { poolSize: number };
  const runs = new Map<number, Run>();
  const subtasks = new Map<number, (outcome: Outcome) => void>();
  let subtaskCount = 0;
  const post = (message: MessageToPool, transfer: readonly ArrayBuffer[] = []) =>
    port.postMessage(message, [...transfer]);

  async function run(message: MessageToWorker & { kind: "run" }): Promise<void> {
    const { id, name } = message;
    const abort = new AbortController();
    const bytes = new ByteQueue((sizeBytes) => post({ kind: "credit", id, sizeBytes }));
    if (!message.hasBytes) bytes.end();
    runs.set(id, { abort, bytes });
    const flag = new Int32Array(message.aborted);
    const context: TaskContext = {
      bytes,
      signal: abort.signal,
      poolSize,
      throwIfAborted() {
        abort.signal.throwIfAborted();
        if (Atomics.load(flag, 0) !== 0) throw new DOMException("This operation was aborted", "AbortError");
      },
      emit: (event) => post({ kind: "event", id, event }),
      run: (subtaskName, input, options = {}) => {
        const subtask = subtaskCount++;
        const { promise, resolve, reject } = Promise.withResolvers<never>();
        subtasks.set(subtask, (outcome) =>
          outcome.kind === "value" ? resolve(outcome.value as never) : reject(receiveError(outcome.error)),
        );
        post({ kind: "subtask", id, subtask, name: subtaskName, input }, options.transfer);
        return promise;
      },
    };
    try {
      const task = tasks[name];
      if (task === undefined) throw new Error(`no task is called "${name}"`);
      const result = await task(message.input, context);
      const [value, transfer] = result instanceof Transferred ? [result.value, result.buffers] : [result, []];
      post({ kind: "end", id, outcome: { kind: "value", value } }, transfer);
    } catch (error) {
      post({ kind: "end", id, outcome: { kind: "error", error: sendError(error) } });
    } finally {
      runs.delete(id);
    }
  }

  port.on("message", (message: MessageToWorker) => {
    switch (message.kind) {
      case "run":
        void run(message);
        break;
      case "bytes":
        runs.get(message.id)?.bytes.push(message.chunk);
        break;
      case "bytes-end":
        runs.get(message.id)?.bytes.end(message.error && receiveError(message.error));
        break;
      case "abort": {
        const reason = receiveError(message.reason);
        const aborted = runs.get(message.id);
        aborted?.abort.abort(reason);
        aborted?.bytes.end(reason);
        break;
      }
      case "subtask-end":
        subtasks.get(message.subtask)?.(message.outcome);
        subtasks.delete(message.subtask);
        break;
    }
  });
}

/** Chunks on their way into a task. The sender may have only so many bytes under way; `taken` gives it credit back. */
class ByteQueue implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[] = [];
  readonly #taken: (sizeBytes: number) => void;
  #wake: (() => void) | undefined;
  #ended = false;
  #error: Error | undefined;

  constructor(taken: (sizeBytes: number) => void) {
    this.#taken = taken;
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#wake?.();
  }

  end(error?: Error): void {
    this.#ended = true;
    this.#error ??= error;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error;
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#taken(chunk.byteLength);
        yield chunk;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    }
  }
}
