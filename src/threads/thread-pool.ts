import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { BuildError } from "../errors/build-error.ts";
import { joinChunks } from "./join-chunks.ts";
import {
  type MessageToPool,
  type MessageToWorker,
  type Outcome,
  receiveError,
  sendError,
} from "./message.ts";

export interface RunTaskOptions {
  readonly signal?: AbortSignal;
  /** What the task emits. */
  readonly onEvent?: (event: unknown) => void;
  /** Bytes that stream into the task; at most `BYTE_WINDOW` of them are under way at a time. */
  readonly input?: AsyncIterable<Uint8Array>;
  readonly transfer?: readonly ArrayBuffer[];
}

/**
 * Worker threads that share one entry file. A thread starts when there is work for it and runs one task at a time, or two whose bytes
 * stream in: these mostly wait for a network.
 */
export interface ThreadPool extends AsyncDisposable {
  readonly size: number;
  /** Starts a thread if there is none: who knows that work is to come need not wait for that, too. */
  warmUp(): void;
  /**
   * Runs a task in a free thread, waiting for one if need be.
   * @throws what the task throws; BuildError `aborted` when the signal aborts.
   */
  run<Result>(name: string, input: unknown, options?: RunTaskOptions): Promise<Result>;
}

export interface ThreadPoolOptions {
  /** The file that each thread starts with; it calls `serveTasks`. */
  readonly entry: URL;
  /** How many threads at most; the number of cores, 2 to 8, when absent. */
  readonly size?: number;
}

/** How many tasks with a stream of bytes a thread runs at a time. */
const STREAMS_MAX = 2;
/** In bytes: how much of a task's `input` may be under way to it. */
const BYTE_WINDOW = 8 << 20;
/** How much of it goes in one message. */
const MESSAGE_BYTES = 1 << 20;

/** The worker entry file: `src/worker.ts` in a checkout, `dist/worker.js` beside the chunks of the bundle. */
export function workerEntry(): URL {
  return import.meta.url.endsWith(".ts")
    ? new URL("../worker.ts", import.meta.url)
    : new URL("./worker.js", import.meta.url);
}

export function makeThreadPool(options: ThreadPoolOptions): ThreadPool {
  return new WorkerPool(options.entry, options.size ?? Math.min(8, Math.max(2, availableParallelism())));
}

/**
 * Of each thread. By default V8 lets short-lived objects fill more than a hundred megabytes before it looks, and a layer of a million
 * entries makes millions of them.
 */
const YOUNG_GENERATION_MIB = 3;

interface Job {
  readonly id: number;
  readonly name: string;
  readonly input: unknown;
  readonly options: RunTaskOptions;
  readonly flag: SharedArrayBuffer;
  readonly settle: (outcome: Outcome) => void;
  readonly isSubtask: boolean;
  credit: (sizeBytes: number) => void;
  thread?: Thread;
}

interface Thread {
  readonly worker: Worker;
  /** Runs under way here: the caller's, and any number of subtasks. */
  readonly jobs: Set<Job>;
}

class WorkerPool implements ThreadPool {
  readonly size: number;
  readonly #entry: URL;
  readonly #threads = new Set<Thread>();
  readonly #waiting: Job[] = [];
  readonly #jobs = new Map<number, Job>();
  #jobCount = 0;
  #isClosed = false;

  constructor(entry: URL, size: number) {
    this.#entry = entry;
    this.size = size;
  }

  warmUp(): void {
    if (!this.#isClosed && this.#threads.size === 0) this.#startThread();
  }

  run<Result>(name: string, input: unknown, options: RunTaskOptions = {}): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    if (this.#isClosed) return Promise.reject(new Error(`the thread pool is closed: cannot run "${name}"`));
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(abortError(signal));
    const onAbort = () => this.#abort(job, abortError(signal!));
    const settle = (outcome: Outcome) => {
      signal?.removeEventListener("abort", onAbort);
      if (outcome.kind === "value") resolve(outcome.value as Result);
      else reject(signal?.aborted ? abortError(signal) : receiveError(outcome.error));
    };
    const job = this.#makeJob({ name, input, options, settle, isSubtask: false });
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#waiting.push(job);
    this.#dispatch();
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const error = new Error("the thread pool was closed");
    for (const job of [...this.#jobs.values()]) this.#end(job, { kind: "error", error: sendError(error) });
    this.#waiting.length = 0;
    await Promise.all([...this.#threads].map((thread) => thread.worker.terminate()));
    this.#threads.clear();
  }

  #makeJob(parts: Pick<Job, "name" | "input" | "options" | "settle" | "isSubtask">): Job {
    const job: Job = {
      ...parts,
      id: this.#jobCount++,
      flag: new SharedArrayBuffer(4),
      credit: () => {},
    };
    this.#jobs.set(job.id, job);
    return job;
  }

  #dispatch(): void {
    for (let job = this.#waiting[0]; job !== undefined; job = this.#waiting[0]) {
      const thread = this.#freeThread(job);
      if (thread === undefined) return;
      this.#waiting.shift();
      this.#start(job, thread);
    }
  }

  #freeThread(job: Job): Thread | undefined {
    const threads = [...this.#threads];
    const idle = threads.find((thread) => mainJobs(thread).length === 0);
    if (idle !== undefined) return idle;
    if (this.#threads.size < this.size) return this.#startThread();
    if (!isStreamed(job)) return undefined;
    return threads.find((thread) => {
      const jobs = mainJobs(thread);
      return jobs.length < STREAMS_MAX && jobs.every(isStreamed);
    });
  }

  #leastBusyThread(): Thread {
    let best: Thread | undefined;
    for (const thread of this.#threads) {
      if (best === undefined || thread.jobs.size < best.jobs.size) best = thread;
    }
    if (best !== undefined && (best.jobs.size === 0 || this.#threads.size >= this.size)) return best;
    return this.#startThread();
  }

  #startThread(): Thread {
    const worker = new Worker(this.#entry, {
      workerData: { poolSize: this.size },
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
    });
    const thread: Thread = { worker, jobs: new Set() };
    this.#threads.add(thread);
    worker.unref();
    worker.on("message", (message: MessageToPool) => this.#receive(message));
    worker.on("error", (error) => this.#loseThread(thread, error));
    worker.on("exit", (code) =>
      this.#loseThread(thread, new Error(`a worker thread ended with code ${code}`)),
    );
    return thread;
  }

  #loseThread(thread: Thread, error: unknown): void {
    if (!this.#threads.delete(thread)) return;
    for (const job of [...thread.jobs]) this.#end(job, { kind: "error", error: sendError(error) });
    if (!this.#isClosed) this.#dispatch();
  }

  #start(job: Job, thread: Thread): void {
    job.thread = thread;
    thread.jobs.add(job);
    // An idle thread must not keep the process alive; a busy one must.
    thread.worker.ref();
    const { input: bytes, transfer = [] } = job.options;
    const message: MessageToWorker = {
      kind: "run",
      id: job.id,
      name: job.name,
      input: job.input,
      aborted: job.flag,
      hasBytes: bytes !== undefined,
    };
    try {
      thread.worker.postMessage(message, [...transfer]);
    } catch (error) {
      // What cannot be cloned is a bug of the caller.
      this.#end(job, { kind: "error", error: sendError(error) });
      return;
    }
    if (bytes !== undefined) void this.#feed(job, thread, bytes);
  }

  async #feed(job: Job, thread: Thread, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const post = (message: MessageToWorker, transfer: readonly ArrayBuffer[] = []) =>
      thread.worker.postMessage(message, [...transfer]);
    let underWay = 0;
    let wake: (() => void) | undefined;
    job.credit = (sizeBytes) => {
      underWay -= sizeBytes;
      wake?.();
    };
    try {
      for await (const chunk of joinChunks(bytes, MESSAGE_BYTES)) {
        if (!this.#jobs.has(job.id)) return;
        underWay += chunk.byteLength;
        post({ kind: "bytes", id: job.id, chunk }, [chunk.buffer]);
        while (underWay >= BYTE_WINDOW && this.#jobs.has(job.id)) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
      post({ kind: "bytes-end", id: job.id });
    } catch (error) {
      post({ kind: "bytes-end", id: job.id, error: sendError(error) });
    }
  }

  #receive(message: MessageToPool): void {
    const job = this.#jobs.get(message.id);
    if (job === undefined) return;
    switch (message.kind) {
      case "end":
        this.#end(job, message.outcome);
        break;
      case "event":
        job.options.onEvent?.(message.event);
        break;
      case "credit":
        job.credit(message.sizeBytes);
        break;
      case "subtask":
        this.#startSubtask(job, message);
        break;
    }
  }

  /** A subtask never waits for a free thread: its parent holds one, and all threads might be held by parents. */
  #startSubtask(parent: Job, message: MessageToPool & { kind: "subtask" }): void {
    const { worker } = parent.thread!;
    const { name, input } = message;
    const settle = (outcome: Outcome) => {
      const reply: MessageToWorker = { kind: "subtask-end", subtask: message.subtask, outcome };
      if (this.#jobs.has(parent.id)) {
        worker.postMessage(reply, outcome.kind === "value" ? buffersOf(outcome.value) : []);
      }
    };
    const options = { transfer: buffersOf(input) };
    const job = this.#makeJob({ name, input, options, settle, isSubtask: true });
    this.#start(job, this.#leastBusyThread());
  }

  #abort(job: Job, reason: BuildError): void {
    Atomics.store(new Int32Array(job.flag), 0, 1);
    if (job.thread === undefined) {
      const position = this.#waiting.indexOf(job);
      if (position >= 0) this.#waiting.splice(position, 1);
      this.#end(job, { kind: "error", error: sendError(reason) });
    } else {
      // The run ends when its task has cleaned up, so that nothing is left behind.
      const message: MessageToWorker = { kind: "abort", id: job.id, reason: sendError(reason) };
      job.thread.worker.postMessage(message);
    }
  }

  #end(job: Job, outcome: Outcome): void {
    if (!this.#jobs.delete(job.id)) return;
    job.credit(0);
    const { thread } = job;
    if (thread !== undefined) {
      thread.jobs.delete(job);
      if (thread.jobs.size === 0) thread.worker.unref();
    }
    job.settle(outcome);
    if (!this.#isClosed) this.#dispatch();
  }
}

/** Those that `run` was asked for. */
function mainJobs({ jobs }: Thread): Job[] {
  return [...jobs].filter(({ isSubtask }) => !isSubtask);
}

function isStreamed({ options }: Job): boolean {
  return options.input !== undefined;
}

/** The buffers of a message's direct fields: they are relayed, not read, so they change hands. */
function buffersOf(value: unknown): ArrayBuffer[] {
  if (value instanceof Uint8Array) return value.buffer instanceof ArrayBuffer ? [value.buffer] : [];
  if (typeof value !== "object" || value === null) return [];
  const buffers = new Set<ArrayBuffer>();
  for (const field of Object.values(value)) {
    if (field instanceof Uint8Array && field.buffer instanceof ArrayBuffer) buffers.add(field.buffer);
  }
  return [...buffers];
}

function abortError(signal: AbortSignal): BuildError {
  const { reason } = signal;
  if (reason instanceof BuildError) return reason;
  return new BuildError("aborted", "Cannot go on: the work was aborted", { cause: reason });
}
