import { BuildError } from "../errors/build-error.ts";
import { blameMachine } from "../errors/explain-system-error.ts";
import type { BuildEvent } from "../progress/event.ts";
import type { Credentials } from "../registry/credentials.ts";
import type { BuildOptions, BuildResult, StepFacts } from "./build-options.ts";
import { makeEventQueue } from "./event-queue.ts";
import { holdKey } from "./hold-key.ts";
import { performBuild } from "./perform-build.ts";
import { type FileMap, writeFileMap } from "./write-file-map.ts";

/** A secret's bytes or text, or who fetches it; asked once, as the build begins. */
export type SecretValue = string | Uint8Array | (() => Promise<string | Uint8Array>);

/** An agent that runs, files of private keys, or a private key as OpenSSH writes it, which then is in no file. */
export type SshValue = SshAgent | SecretValue;

type SshAgent = NonNullable<BuildOptions["ssh"]> extends ReadonlyMap<string, infer Agent> ? Agent : never;

type ById<T> = ReadonlyMap<string, T> | Readonly<Record<string, T>>;

/** What `build` takes: everything of `BuildOptions`, and what is handier to a program. */
export interface BuildRequest extends Omit<BuildOptions, HandierOption> {
  /** A directory, a git repository or URL; the bytes of a tar or Dockerfile; or files by their paths. */
  readonly context: BuildOptions["context"] | { readonly files: FileMap };
  /** The Dockerfile's text, in place of a file. `file` is what messages call it. */
  readonly dockerfile?: string | BuildOptions["dockerfile"];
  /** By id. */
  readonly secrets?: ById<SecretValue>;
  /** By id; `default` is what mounts and git repositories use that name none. */
  readonly ssh?: ById<SshValue>;
  /** Asked for each registry, or by host (`docker.io`, `localhost:5000`); docker's and podman's files are not read then. */
  readonly credentials?: BuildOptions["credentials"] | Readonly<Record<string, Credentials>>;
}

type HandierOption = "context" | "dockerfile" | "secrets" | "ssh" | "credentials";

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
      throw blameMachine(typeAbort(error, request.signal));
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

/** Whatever the signal was aborted with, or nothing at all: it is a BuildError. */
function typeAbort(error: unknown, signal: AbortSignal | undefined): unknown {
  const isAbort =
    signal?.aborted && (error === signal.reason || (error as Error | null)?.name === "AbortError");
  if (!isAbort || error instanceof BuildError) return error;
  return new BuildError("aborted", "Cannot finish the build: it was cancelled", { cause: signal.reason });
}

async function run(request: BuildRequest, emit: BuildOptions["emit"]): ReturnType<typeof performBuild> {
  const { context, dockerfile, credentials } = request;
  await using held = new AsyncDisposableStack();
  // Before anything is told: the caller has the handle first.
  const secrets = await readSecrets(request.secrets);
  const ssh = await openAgents(request.ssh, held);
  return await performBuild({
    ...request,
    context: typeof context === "object" && "files" in context ? writeFileMap(context.files) : context,
    dockerfile:
      typeof dockerfile === "string" ? { file: "Dockerfile", bytes: Buffer.from(dockerfile) } : dockerfile,
    secrets,
    ssh,
    credentials: typeof credentials === "object" ? async (host) => credentials[host] : credentials,
    emit,
  });
}

async function readSecrets(secrets: BuildRequest["secrets"]): Promise<Map<string, Uint8Array>> {
  const read = entriesById(secrets).map(async ([id, value]) => [id, await readSecret(value)] as const);
  return new Map(await Promise.all(read));
}

async function readSecret(value: SecretValue): Promise<Uint8Array> {
  const read = typeof value === "function" ? await value() : value;
  return typeof read === "string" ? Buffer.from(read) : read;
}

/** Keys that are no files go to agents of our own, which `held` ends. */
async function openAgents(
  ssh: BuildRequest["ssh"],
  held: AsyncDisposableStack,
): Promise<Map<string, SshAgent>> {
  const agents = new Map<string, SshAgent>();
  for (const [id, value] of entriesById(ssh)) {
    if (typeof value === "object" && "kind" in value) agents.set(id, value);
    else agents.set(id, { kind: "socket", path: held.use(await holdKey(id, await readSecret(value))).path });
  }
  return agents;
}

function entriesById<T>(values: ById<T> = {}): readonly (readonly [string, T])[] {
  return values instanceof Map ? [...values] : Object.entries(values);
}
