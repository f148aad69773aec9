import type { KeyChange } from "../cache/explain-miss.ts";
import type { LazyLayer } from "../image/image-access.ts";
import { openStepLayer } from "../image/lazy-layer.ts";
import { formatPlatform } from "../oci/platform.ts";
import type { Plan, SourceStep, Step, StepId } from "../plan/plan.ts";
import { hasBlob } from "../store/blobs.ts";
import { findLayerByDiffId } from "../store/layers.ts";
import type { Store } from "../store/open-store.ts";
import { findChanges, plainName, TOLD_NOT_TO, type TracedStep } from "./find-changes.ts";
import { type KeyedCopy, keyCopy } from "./key-copy.ts";
import { keyRun } from "./key-run.ts";
import { type KeyedStep, lookUp } from "./look-up.ts";
import { loadDestination } from "./solve-copy.ts";
import { mayKeepFiles } from "./solve-keyed.ts";
import { asRootfs, type KeyContext, type SourceContext, stepsOfOutputs, withSpan } from "./solve-plan.ts";
import { solveSource } from "./solve-source.ts";
import { keyWorkdir, loadWorkdirInputs } from "./solve-workdir.ts";
import type { Solved, SolvedRootfs } from "./solved.ts";
import { nameRootfs } from "./step-record.ts";
import { nameProject } from "./trace-build.ts";

/*
 * Steps are keyed and looked up as by a build, but nothing that is missing is made. What would be made has a stand-in: its record id is
 * the one that it would get (COPY, WORKDIR), or one that no key has (RUN); to look into its files is `Undecided`.
 */

/** A step, and what a build would do with it. */
export interface PredictedStep {
  readonly stage: string;
  /** Without its number: `RUN make`. */
  readonly name: string;
  readonly platform: string;
  /** `unknown`: only what other steps make will tell. */
  readonly outcome: "hit" | "run" | "unknown";
  /** What the step is found by, or would be kept under; absent where it is not known. */
  readonly key?: string;
  /** JSON of what went into the key. */
  readonly parts?: string;
  /** For one that will run: what changed against an earlier build. */
  readonly changes: readonly KeyChange[];
  /** For one that is unknown: `what "RUN make" writes`. */
  readonly dependsOn?: string;
}

export interface PredictOptions
  extends Omit<SourceContext, "trace" | "readSources">,
    Omit<KeyContext, "solve" | "ofOutputs"> {}

/** Where a key hangs on bytes that are not there. */
class Undecided extends Error {
  readonly dependsOn: string;

  constructor(dependsOn: string) {
    super(`it depends on ${dependsOn}`);
    this.dependsOn = dependsOn;
  }
}

/**
 * Says what a build would take from the cache, in the plan's order, without building. Layers of images that are not here are not fetched.
 *
 * @throws what keying the steps of a build throws: BuildError `copy-source-missing` and its like.
 */
export async function predictPlan(plan: Plan, options: PredictOptions): Promise<PredictedStep[]> {
  const predictor = new Predictor(plan, options);
  await predictor.predict();
  return predictor.results();
}

/** What is known of a step once it was looked at. */
type Prediction =
  | { readonly outcome: "hit" | "run"; readonly traced: TracedStep }
  | { readonly outcome: "run"; readonly reason: string }
  | { readonly outcome: "unknown"; readonly dependsOn: string };

class Predictor {
  readonly #plan: Plan;
  readonly #options: PredictOptions;
  readonly #context: KeyContext & SourceContext;
  readonly #solved = new Map<StepId, Promise<Solved>>();
  readonly #predictions = new Map<StepId, Prediction>();
  /** Steps whose result has a name that no key in the store can have: what stands on them runs. */
  readonly #fresh = new Set<StepId>();

  constructor(plan: Plan, options: PredictOptions) {
    this.#plan = plan;
    this.#options = options;
    this.#context = {
      ...options,
      trace: { time() {} },
      solve: (id) => this.#solve(id),
      ofOutputs: stepsOfOutputs(plan),
      readSources: new Set(),
    };
  }

  async predict(): Promise<void> {
    const outputs = this.#plan.outputs.map(({ rootfs }) => this.#solve(rootfs));
    await Promise.allSettled(outputs);
    await Promise.allSettled(this.#solved.values());
    for (const output of await Promise.all(outputs)) await wantAll(asRootfs(output));
  }

  results(): PredictedStep[] {
    const { access, contexts, cacheTtlMs } = this.#options;
    const project = nameProject(this.#plan, contexts);
    const traced = [...this.#predictions.values()].flatMap((one) => ("traced" in one ? [one.traced] : []));
    return this.#plan.steps.flatMap((step) => {
      const prediction = this.#predictions.get(step.id);
      if (prediction === undefined) return [];
      const { outcome } = prediction;
      const { stage, platform } = step;
      const said = { stage, name: plainName(step), platform: formatPlatform(platform), outcome };
      if ("dependsOn" in prediction) return [{ ...said, changes: [], dependsOn: prediction.dependsOn }];
      if ("reason" in prediction)
        return [{ ...said, changes: [{ part: "none", message: prediction.reason }] }];
      const { key, parts } = prediction.traced.key;
      const compare = { project, traced, cacheTtlMs };
      const changes = outcome === "hit" ? [] : findChanges(access.store, prediction.traced, compare);
      return [{ ...said, key, parts, changes }];
    });
  }

  #solve(id: StepId): Promise<Solved> {
    let solving = this.#solved.get(id);
    if (solving === undefined) {
      const step = this.#plan.steps[id]!;
      solving = this.#predictStep(step).catch((error) => {
        throw withSpan(error, step);
      });
      // Somebody awaits it; but a failure may come before they do.
      solving.catch(() => {});
      this.#solved.set(id, solving);
    }
    return solving;
  }

  async #predictStep(step: Step): Promise<Solved> {
    if (step.kind === "source") {
      return withoutFetching(step, await solveSource(step, this.#context), this.#options.access.store);
    }
    const base = asRootfs(await this.#solve(step.base));
    if (this.#fresh.has(step.base)) this.#fresh.add(step.id);
    try {
      return await this.#lookUp(step, base);
    } catch (error) {
      if (!(error instanceof Undecided)) throw error;
      const isLink = step.kind === "copy" && step.link;
      const reason = step.ignoreCache
        ? TOLD_NOT_TO
        : this.#fresh.has(step.base) && !isLink && "what it stands on is made anew";
      this.#predictions.set(
        step.id,
        reason ? { outcome: "run", reason } : { outcome: "unknown", dependsOn: error.dependsOn },
      );
      const undecided = () => {
        throw new Undecided(whatItWrites(step));
      };
      return standOn(base, { recordId: undecided, layer: missingLayer(whatItWrites(step)) });
    }
  }

  async #lookUp(step: MadeStep, base: SolvedRootfs): Promise<SolvedRootfs> {
    await using keyed = await keyStep(step, this.#context);
    const { keys, record, imported, bare } = await lookUp(step, keyed.keys(), this.#context);
    const key = keys.at(-1)!;
    const found = record ?? imported ?? bare;
    const recordId = found?.id ?? (step.kind === "run" ? `not made yet: ${step.id}` : key.key);
    const outcome = found === undefined ? "run" : "hit";
    if (outcome === "run" && step.kind === "run") this.#fresh.add(step.id);
    this.#predictions.set(step.id, {
      outcome,
      traced: { step, key, outcome: found === undefined ? "miss" : "hit", recordId },
    });
    const hasFiles = mayKeepFiles(step, base) && (record ?? imported?.layer) !== undefined;
    let layer = missingLayer(whatItWrites(step));
    if (found === undefined) await wantInputs(step, keyed, this.#context);
    else if (!hasFiles) layer = this.#rerunLayer(step, record === undefined ? FILES_ARE_GONE : RUNS_ABOVE);
    else if (record !== undefined) layer = openStepLayer(this.#options.access.store, record);
    return standOn(base, { recordId: () => nameRootfs(step, base, recordId), layer });
  }

  /** Of a step whose result is known without files that may be used: it runs when somebody wants them. */
  #rerunLayer(step: MadeStep, reason: string): LazyLayer {
    const missing = missingLayer(whatItWrites(step));
    const want = async () => {
      this.#predictions.set(step.id, { outcome: "run", reason });
      await using keyed = await keyStep(step, this.#context);
      await wantInputs(step, keyed, this.#context);
    };
    let wanted: Promise<void> | undefined;
    return {
      ...missing,
      mustBeMade: true,
      load: async () => {
        wanted ??= want();
        await wanted;
        return missing.load();
      },
    };
  }
}

type MadeStep = Exclude<Step, SourceStep>;

const FILES_ARE_GONE = "its result is known, but its files, which a later step wants, are gone";
const RUNS_ABOVE = "a step below it runs again, so it does, too";

type PredictedKey = KeyedStep & Partial<KeyedCopy> & AsyncDisposable;

async function keyStep(step: MadeStep, context: KeyContext): Promise<PredictedKey> {
  const withNothingToClose = (keyed: KeyedStep) => ({ ...keyed, async [Symbol.asyncDispose]() {} });
  switch (step.kind) {
    case "copy":
      return keyCopy(step, context);
    case "run":
      return withNothingToClose(await keyRun(step, context));
    case "workdir":
      return withNothingToClose(await keyWorkdir(step, context));
  }
}

/** A step that runs looks into files that its key did not need: where they are gone, the steps that made them run, too. */
async function wantInputs(
  step: MadeStep,
  { base, select }: PredictedKey,
  { access }: KeyContext,
): Promise<void> {
  if (step.kind === "run") return wantAll(base);
  try {
    const selection = await select?.();
    // What is here need not be unpacked to say so.
    if (!base.layers.some(({ mustBeMade }) => mustBeMade)) return;
    if (step.kind === "workdir") await loadWorkdirInputs(step, base, access);
    else await loadDestination(selection!, base, access);
  } catch (error) {
    if (!(error instanceof Undecided)) throw error;
  }
}

/** As a RUN that mounts them all does, and an output. */
async function wantAll({ layers }: SolvedRootfs): Promise<void> {
  for (const layer of layers) {
    if (!layer.mustBeMade) continue;
    await layer.load().catch((error) => {
      if (!(error instanceof Undecided)) throw error;
    });
  }
}

/** Whoever makes a key of its `recordId` may learn that nobody knows it; who does not need it goes on. */
function standOn(
  base: SolvedRootfs,
  { recordId, layer }: { readonly recordId: () => string; readonly layer: LazyLayer },
): SolvedRootfs {
  return {
    kind: "rootfs",
    get recordId() {
      return recordId();
    },
    layers: [...base.layers, layer],
  };
}

function whatItWrites(step: Step): string {
  return `what "${plainName(step)}" writes`;
}

function missingLayer(what: string): LazyLayer {
  return {
    load: () => Promise.reject(new Undecided(what)),
    findIndex: () => undefined,
  };
}

/** The layers of an image stay where they are. */
function withoutFetching({ source }: SourceStep, solved: Solved, store: Store): Solved {
  if (solved.kind !== "rootfs" || source.kind !== "image") return solved;
  const layers = solved.layers.map((layer) => {
    const { diffId, blob } = layer;
    const isHere = () =>
      (diffId !== undefined && findLayerByDiffId(store, diffId) !== undefined) ||
      (blob !== undefined && hasBlob(store, blob.digest));
    const missing = missingLayer(`the files of "${source.reference}", which are not in the store`);
    return { ...layer, loadIndex: undefined, load: () => (isHere() ? layer : missing).load() };
  });
  return { ...solved, layers };
}
