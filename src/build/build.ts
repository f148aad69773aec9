import { blameMachine } from "../errors/explain-system-error.ts";
import type { BuildEvent } from "../progress/event.ts";
import type { BuildOptions, BuildResult, StepFacts } from "./build-options.ts";
import { makeEventQueue } from "./event-queue.ts";
import { performBuild } from "./perform-build.ts";
import { type FileMap, writeFileMap } from "./write-file-map.ts";

/** A secret's bytes or text, or who fetches it; asked once, as the build begins. */
export type SecretValue = string | Uint8Array | (() => Promise<string | Uint8Array>);

/** What `build` takes: everything of `BuildOptions`, and what is handier to a program. */
export interface BuildRequest extends Omit<BuildOptions, "context" | "dockerfile" | "secrets"> {
  /** A directory, a git repository or URL; the bytes of a tar or Dockerfile; or files by their paths. */
  readonly context: BuildOptions["context"] | { readonly files: FileMap };
  /** The Dockerfile's text, in place of a file. `file` is what messages call it. */
  readonly dockerfile?: string | BuildOptions["dockerfile"];
  /** By id. */
  readonly secrets?: ReadonlyMap<string, SecretValue> | Readonly<Record<string, SecretValue>>;
}

/** A build that goes on. Iterating gives its events, from the first when it begins at once; they end with the build. */
export interface Build extends AsyncIterable<BuildEvent> {
  /** Rejects with a BuildError for everything that the user can do something about; then no output was written or tagged. */
  readonly result: Promise<BuildResult>;
}

/**
 * Builds what a Dockerfile describes, from its text to its outputs. Nothing is printed; `signal` ends it, after what it began is cleaned up.
 *
 *     const running = build({ context: ".", tags: ["app"] });
 *     for await (const event of running) if (event.kind === "start") console.log(event.name);
 *     const { images } = await running.result;
 */
export function build(request: BuildRequest): Build {
  const events = makeEventQueue();
  const steps = collectSteps();
  const emit = (event: BuildEvent) => {
    steps.add(event);
    request.emit?.(event);
    events.add(event);
  };
  const result = run(request, emit)
    .then((facts) => ({ ...facts, steps: steps.ended }))
    .catch((error) => {
      throw blameMachine(error);
    })
    .finally(() => events.end());
  // Who only reads the events must not end by it; who awaits the result is told.
  result.catch(() => {});
  return { result, [Symbol.asyncIterator]: () => events.read() };
}

/** What has ended well, as its events tell. */
function collectSteps(): { add(event: BuildEvent): void; readonly ended: readonly StepFacts[] } {
  const begun = new Map<string, Extract<BuildEvent, { kind: "start" }>>();
  const ended: StepFacts[] = [];
  return {
    ended,
    add(event) {
      if (event.kind === "start") begun.set(event.id, event);
      if (event.kind !== "end") return;
      const start = begun.get(event.id);
      begun.delete(event.id);
      if (start === undefined || (event.outcome !== "done" && event.outcome !== "cached")) return;
      const { name, stage, time } = start;
      const isCached = event.outcome === "cached";
      ended.push({ name, ...(stage && { stage }), isCached, startedMs: time, endedMs: event.time });
    },
  };
}

async function run(request: BuildRequest, emit: BuildOptions["emit"]): ReturnType<typeof performBuild> {
  const { context, dockerfile } = request;
  // Before anything is told: the caller has the handle first.
  const secrets = await readSecrets(request.secrets);
  return performBuild({
    ...request,
    context: typeof context === "object" && "files" in context ? writeFileMap(context.files) : context,
    dockerfile:
      typeof dockerfile === "string" ? { file: "Dockerfile", bytes: Buffer.from(dockerfile) } : dockerfile,
    secrets,
    emit,
  });
}

async function readSecrets(secrets: BuildRequest["secrets"] = {}): Promise<Map<string, Uint8Array>> {
  const entries = secrets instanceof Map ? [...secrets] : Object.entries(secrets);
  return new Map(
    await Promise.all(
      entries.map(async ([id, value]): Promise<[string, Uint8Array]> => {
        const read = typeof value === "function" ? await value() : value;
        return [id, typeof read === "string" ? Buffer.from(read) : read];
      }),
    ),
  );
}
