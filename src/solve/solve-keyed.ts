import { attachSpan } from "../errors/build-error.ts";
import type { LazyLayer } from "../image/image-access.ts";
import type { Step } from "../plan/plan.ts";
import type { Layer } from "../rootfs/layer.ts";
import { type BareRecord, makeRecordBare, type StepRecord, writeRecord } from "../store/records.ts";
import { type KeyedStep, type LookedUp, lookUp } from "./look-up.ts";
import { reportStep } from "./report-step.ts";
import type { MissingStep } from "./run-once.ts";
import type { SolveContext } from "./solve-plan.ts";
import type { SolvedRootfs } from "./solved.ts";
import { addResult, aliasRecord, type ImportedRecord, resultOf, type StepResult } from "./step-record.ts";

/** Does a step's work; called again, later, for a result that was found without its files. */
export type MakeResult = (missing: MissingStep) => Promise<StepRecord>;

/** Takes a step's result from a cache, or makes it. */
export function solveKeyed(
  step: Step,
  keyed: KeyedStep,
  { make, context }: { readonly make: MakeResult; readonly context: SolveContext },
): Promise<SolvedRootfs> {
  return reportStep(step, context, async (report) => {
    const found = await lookUp(step, keyed.keys(), context);
    const hit = takeHit(found, { step, base: keyed.base, make, context });
    if (hit === undefined) {
      const made = await make({ step, keys: found.keys, report });
      return addResult(keyed.base, { step, result: resultOf(made, context) }, context);
    }
    report.cached();
    context.trace.add({ step, key: found.keys.at(-1)!, outcome: "hit", recordId: hit.id });
    return addResult(keyed.base, { step, result: hit }, context);
  });
}

interface HitContext {
  readonly step: Step;
  readonly base: SolvedRootfs;
  readonly make: MakeResult;
  readonly context: SolveContext;
}

/** What was found, with a way to its layer; from now on the keys that did not lead to it do. */
function takeHit(found: LookedUp, hit: HitContext): StepResult | undefined {
  const { keys, record, imported, bare } = found;
  const stored = record ?? bare;
  if (stored !== undefined) {
    for (const earlier of keys.slice(0, -1)) aliasRecord(hit.context.access.store, stored, earlier);
  }
  const mayStay = mayKeepFiles(hit.step, hit.base);
  if (record !== undefined && mayStay) return resultOf(record, hit.context);
  if (stored !== undefined) {
    const { id, created } = stored;
    return { id, created, layer: makeRerunLayer(stored, found, hit) };
  }
  if (imported === undefined) return undefined;
  const layer =
    imported.layer === undefined || !mayStay
      ? makeRerunLayer(imported, found, hit)
      : keepWhenLoaded(imported, imported.layer, { found, context: hit.context });
  return { ...imported, layer, keys: [...imported.keys, ...keys.map(({ key }) => key)] };
}

/**
 * What a command did goes with the files that it saw: when a step below runs again, and its result comes out differently, the command
 * must, too.
 */
export function mayKeepFiles(step: Step, base: SolvedRootfs): boolean {
  return step.kind !== "run" || !base.layers.some(({ mustBeMade }) => mustBeMade);
}

/** What was fetched once is a result of the store. */
function keepWhenLoaded(
  { id, created }: ImportedRecord,
  layer: LazyLayer,
  { found, context }: { readonly found: LookedUp; readonly context: SolveContext },
): LazyLayer {
  return {
    ...layer,
    created,
    // An index alone would be no result.
    loadIndex: undefined,
    async load() {
      const loaded = await layer.load();
      writeRecord(context.access.store, { id, layerId: loaded.id, created }, found.keys);
      return loaded;
    },
  };
}

/**
 * A layer whose step runs when somebody asks for it. Its record keeps its id: the steps after it were found by that, and would all be
 * missing with another.
 */
function makeRerunLayer(
  { id, created }: BareRecord,
  { keys, record }: LookedUp,
  { step, make, context }: HitContext,
): LazyLayer {
  let running: Promise<Layer> | undefined;
  const rerun = async (): Promise<Layer> => {
    try {
      return await reportStep(step, context, async (report) => {
        report.note(
          record === undefined
            ? "the cache knows its result, but has no files of it any more, so it runs again"
            : "a step below it runs again, so it does, too",
        );
        // Else the work is found to be done.
        if (record !== undefined) makeRecordBare(context.access.store, record.id);
        const { layer: made } = resultOf(await make({ step, keys, report, recordId: id }), context);
        context.ledger?.add({ id, created, layer: made });
        return made.load();
      });
    } catch (error) {
      throw step.span === undefined ? error : attachSpan(error, step.span);
    }
  };
  return {
    created,
    load() {
      running ??= rerun();
      return running;
    },
    findIndex: () => undefined,
    mustBeMade: true,
  };
}
