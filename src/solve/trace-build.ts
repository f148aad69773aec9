import { randomBytes } from "node:crypto";
import type { Plan, Step } from "../plan/plan.ts";
import type { CopyTree } from "../rootfs/copy-request.ts";
import { type StoredBuildStep, writeBuild, writeRunningStep } from "../store/builds.ts";
import type { LogChunk } from "../store/logs.ts";
import type { Store } from "../store/open-store.ts";
import { type CompareContext, findChanges, plainName, type TracedStep } from "./find-changes.ts";

/** Collects what the steps of a build came to; the last word on a step counts. */
export interface BuildTrace {
  /** Under which the store remembers the build. */
  readonly buildId: string;
  add(step: TracedStep): void;
  /** The work on a step that has no result begins; others may look at it. */
  begin(step: Omit<TracedStep, "outcome" | "recordId">): void;
  /** A step began and ended, in milliseconds since 1970. */
  time(step: Step, times: StepTimes): void;
  /** What a step printed that failed. */
  keepLog(step: Step, chunks: readonly LogChunk[]): void;
  /** Keeps the build in the store, with what changed for each miss; returns that. */
  finish(outcome: "done" | "failed"): readonly StoredBuildStep[];
}

interface StepTimes {
  readonly started: number;
  readonly ended: number;
}

export function makeBuildTrace(
  store: Store,
  project: string,
  { cacheTtlMs }: { readonly cacheTtlMs?: number } = {},
): BuildTrace {
  const build = { id: randomBytes(6).toString("hex"), created: Date.now(), project };
  const steps = new Map<number, TracedStep>();
  const times = new Map<number, StepTimes>();
  const failedLogs = new Map<number, readonly LogChunk[]>();
  return {
    buildId: build.id,
    add(traced) {
      steps.set(traced.step.id, traced);
    },
    begin(traced) {
      // What becomes of it if nothing more is heard.
      steps.set(traced.step.id, { ...traced, outcome: "failed" });
      const running = { ...plainStep({ ...traced, outcome: "running" }), started: Date.now() };
      writeRunningStep(store, build, running);
    },
    time({ id }, value) {
      times.set(id, value);
    },
    keepLog({ id }, chunks) {
      failedLogs.set(id, chunks);
    },
    finish(outcome) {
      const traced = [...steps.values()].sort((one, other) => one.step.id - other.step.id);
      if (traced.length === 0) return [];
      const stored = traced.map((one) => ({
        ...describeStep(store, one, { project, traced, cacheTtlMs }),
        ...times.get(one.step.id),
        failedLog: failedLogs.get(one.step.id),
      }));
      writeBuild(store, { ...build, outcome, ended: Date.now() }, stored);
      return stored;
    },
  };
}

/** What is the same for builds of one context and one Dockerfile. */
export function nameProject(plan: Plan, contexts: ReadonlyMap<string, CopyTree>): string {
  const context = contexts.get("context");
  const file = plan.steps.find(({ span }) => span !== undefined)?.span?.file ?? "";
  return `${context?.kind === "directory" ? context.directory : ""}\0${file}`;
}

function describeStep(store: Store, traced: TracedStep, context: CompareContext): StoredBuildStep {
  const { outcome } = traced;
  const isMiss = outcome === "miss" || outcome === "failed";
  const changes = isMiss ? findChanges(store, traced, context) : [];
  return { ...plainStep(traced), changes: JSON.stringify(changes) };
}

/** Without what changed. */
function plainStep({ step, key, outcome, recordId }: TracedStep): StoredBuildStep {
  return {
    number: step.id,
    stage: step.stage,
    name: plainName(step),
    outcome,
    key: key.key,
    recordId: recordId ?? null,
    content: key.content ?? null,
    parts: key.parts,
    changes: "[]",
    started: null,
    ended: null,
  };
}
