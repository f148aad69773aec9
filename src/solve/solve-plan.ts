import type { KeyChange } from "../cache/explain-miss.ts";
import { formatChanges } from "../cache/format-changes.ts";
import type { RemoteSources } from "../context/remote-sources.ts";
import { attachSpan, BuildError } from "../errors/build-error.ts";
import type { ImageAccess, ResolvedImage } from "../image/image-access.ts";
import type { Plan, SourceStep, Step, StepId } from "../plan/plan.ts";
import type { EventSink } from "../progress/event.ts";
import type { CopyTree } from "../rootfs/copy-request.ts";
import type { SshAgent } from "../sandbox/holder-protocol.ts";
import type { Sandbox } from "../sandbox/run-container.ts";
import type { StoredBuildStep } from "../store/builds.ts";
import { findReadSources } from "./find-read-sources.ts";
import { makeLimit } from "./limit.ts";
import type { RecordLedger } from "./record-ledger.ts";
import { solveCopy } from "./solve-copy.ts";
import { solveRun } from "./solve-run.ts";
import { solveSource } from "./solve-source.ts";
import { solveWorkdir } from "./solve-workdir.ts";
import type { Solved, SolvedRootfs } from "./solved.ts";
import type { ImportedRecords } from "./step-record.ts";
import { type BuildTrace, makeBuildTrace, nameProject } from "./trace-build.ts";

export interface SolveOptions {
  readonly access: ImageAccess;
  readonly openSandbox: () => Sandbox;
  /** The build context (`context`) and named ones, by name. */
  readonly contexts: ReadonlyMap<string, CopyTree>;
  /** URLs and git repositories, opened when a step first needs one. */
  readonly openRemotes: () => Promise<RemoteSources>;
  /** The image of an image source. */
  readonly findImage: (step: SourceStep) => Promise<ResolvedImage>;
  /** How many RUNs may go on at once. */
  readonly jobs: number;
  readonly secrets: ReadonlyMap<string, Uint8Array>;
  /** Entitlements that the user granted: `network.host`, `security.insecure`, `device`, `device=NAME`. */
  readonly allow: ReadonlySet<string>;
  /** SOURCE_DATE_EPOCH: the time of what COPY, ADD and WORKDIR make themselves, in seconds since 1970. */
  readonly epochSeconds?: number;
  /** Agents of ssh mounts, by id. */
  readonly ssh?: ReadonlyMap<string, SshAgent>;
  /** Results that are older, in milliseconds, are not taken from the cache. */
  readonly cacheTtlMs?: number;
  /** Tell for each step that is not in the cache what changed, as notes. */
  readonly explain?: boolean;
  /** Caches to look into besides the store. */
  readonly imports?: ImportedRecords;
  /** Gets every record that the build comes to. */
  readonly ledger?: RecordLedger;
  /** Somebody reads the files of what comes out, as an output of plain files does: an image's layers may stay as they are packed. */
  readonly readsOutputs?: boolean;
}

/** What it takes to know a step's keys. */
export interface KeyContext
  extends Pick<SolveOptions, "access" | "epochSeconds" | "cacheTtlMs" | "imports" | "ledger"> {
  /** The result of a step that the current one stands on; solved once, whoever asks. */
  readonly solve: (id: StepId) => Promise<Solved>;
  /** Steps whose layers are needed whatever is found. */
  readonly ofOutputs: ReadonlySet<StepId>;
}

/** The steps whose layers outputs consist of. */
export function stepsOfOutputs({ steps, outputs }: Plan): ReadonlySet<StepId> {
  const found = new Set<StepId>();
  for (const { rootfs } of outputs) {
    for (let step = steps[rootfs]; step !== undefined && !found.has(step.id); ) {
      found.add(step.id);
      step = step.kind === "source" ? undefined : steps[step.base];
    }
  }
  return found;
}

/** What it takes to know what a source is. */
export interface SourceContext
  extends Pick<SolveOptions, "access" | "contexts" | "findImage" | "openRemotes"> {
  readonly trace: Pick<BuildTrace, "time">;
  /** The images whose files are read, not only asked what is where: `find-read-sources.ts`. */
  readonly readSources: ReadonlySet<StepId>;
}

/** What the kinds of steps share while a plan is solved. */
export interface SolveContext extends SolveOptions, KeyContext, Pick<SourceContext, "readSources"> {
  readonly trace: BuildTrace;
  /** The cache mounts that this build has emptied. */
  readonly begunAnew: Set<string>;
  readonly limitRuns: <T>(work: () => Promise<T>) => Promise<T>;
}

export interface SolvedPlan {
  /** Under which the store remembers the build. */
  readonly buildId: string;
  /** The root file system of each output, in the plan's order. */
  readonly outputs: readonly SolvedRootfs[];
}

/**
 * Walks the graph from the outputs down: keys each step, looks it up, runs what is missing, what is independent at the same time.
 * When one step fails the others are stopped and waited for, and the first failure is thrown.
 */
export async function solvePlan(plan: Plan, options: SolveOptions): Promise<SolvedPlan> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.access.signal, stop.signal]);
  const results = new Map<StepId, Promise<Solved>>();
  const context: SolveContext = {
    ...options,
    access: { ...options.access, signal },
    trace: makeBuildTrace(options.access.store, nameProject(plan, options.contexts), {
      cacheTtlMs: options.cacheTtlMs,
    }),
    begunAnew: new Set(),
    ofOutputs: stepsOfOutputs(plan),
    readSources: findReadSources(plan, { readsOutputs: options.readsOutputs }),
    limitRuns: makeLimit(options.jobs),
    solve(id) {
      let result = results.get(id);
      if (result === undefined) {
        result = solveStep(plan.steps[id]!, context).catch((error) => {
          const placed = withSpan(error, plan.steps[id]!);
          // Only the first failure is the cause; what fails after it was stopped by it. A source without a place fails
          // where it is used.
          if (!signal.aborted && !needsPlace(placed)) stop.abort(placed);
          throw signal.aborted ? signal.reason : placed;
        });
        // Somebody awaits it; but a failure may come before they do.
        result.catch(() => {});
        results.set(id, result);
      }
      return result;
    },
  };
  const solveOutput = async (id: StepId): Promise<SolvedRootfs> => {
    const solved = asRootfs(await context.solve(id));
    const made = solved.layers.map((layer) => layer.mustBeMade && layer.load());
    await Promise.all(made).catch((error: unknown) => stop.abort(error));
    return solved;
  };
  const outputs = await Promise.allSettled(plan.outputs.map(({ rootfs }) => solveOutput(rootfs)));
  await Promise.allSettled(results.values());
  const traced = context.trace.finish(signal.aborted ? "failed" : "done");
  if (options.explain) tellMisses(traced, options.access.emit);
  if (signal.aborted) throw signal.reason;
  return {
    buildId: context.trace.buildId,
    outputs: outputs.map((output) => {
      if (output.status === "rejected") throw output.reason;
      return output.value;
    }),
  };
}

function tellMisses(steps: readonly StoredBuildStep[], emit: EventSink): void {
  for (const { name, changes } of steps) {
    const list = JSON.parse(changes) as readonly KeyChange[];
    if (list.length > 0) emit({ kind: "note", time: Date.now(), message: `${name}: ${formatChanges(list)}` });
  }
}

/** The place of a step that failed. */
export function withSpan(error: unknown, { span }: Step): unknown {
  return span === undefined ? error : attachSpan(error, span);
}

function needsPlace(error: unknown): boolean {
  return error instanceof BuildError && error.span === undefined;
}

/** @throws Error when the plan has a context where it needs a root file system: a bug. */
export function asRootfs(solved: Solved): SolvedRootfs {
  if (solved.kind === "rootfs") return solved;
  throw new Error("a build context is no root file system");
}

function solveStep(step: Step, context: SolveContext): Promise<Solved> {
  switch (step.kind) {
    case "source":
      return solveSource(step, context);
    case "copy":
      return solveCopy(step, context);
    case "workdir":
      return solveWorkdir(step, context);
    case "run":
      return solveRun(step, context);
  }
}
