import { setTimeout as sleep } from "node:timers/promises";
import type { ImageAccess } from "../image/image-access.ts";
import { type LogLines, makeLogLines } from "../progress/log-lines.ts";
import {
  listBuildSteps,
  listBuilds,
  readStepLog,
  type StoredBuild,
  type StoredBuildStep,
} from "../store/builds.ts";
import { type LiveLogReader, openLiveLogReader } from "../store/live-log.ts";
import type { LogChunk } from "../store/logs.ts";
import type { Store } from "../store/open-store.ts";
import { findBuild } from "./find-build.ts";

/** How often a build that runs is looked at. */
const LOOK_EVERY_MS = 200;

export interface BuildLogsOptions {
  /** Of one that runs: go on until it ends. */
  readonly follow?: boolean;
  /** Called with whole lines, as the step printed them, in the order in which they are found. */
  readonly onLines: (
    step: Pick<StoredBuildStep, "number" | "stage" | "name">,
    lines: readonly string[],
  ) => void;
}

interface ReadStep {
  reader?: LiveLogReader;
  readonly lines: Readonly<Record<LogChunk["stream"], LogLines>>;
  isDone: boolean;
}

/**
 * Reads what the steps of a build printed, and of one that runs what it has printed so far.
 *
 * @param id its beginning is enough; without it a build that runs, else the newest.
 * @returns how the build ended; undefined when it was forgotten meanwhile.
 * @throws BuildError `option-invalid` when there is no such build.
 */
export async function readBuildLogs(
  { store, signal }: ImageAccess,
  id: string | undefined,
  { follow = false, onLines }: BuildLogsOptions,
): Promise<StoredBuild["outcome"] | undefined> {
  const { id: wholeId } = findBuild(store, id, { prefer: "running" });
  const steps = new Map<number, ReadStep>();
  try {
    for (;;) {
      const build = listBuilds(store).find((one) => one.id === wholeId);
      if (build === undefined) return undefined;
      for (const step of listBuildSteps(store, wholeId)) {
        const state = steps.get(step.number) ?? makeReadStep();
        steps.set(step.number, state);
        const lines = state.isDone ? [] : readNew(store, build, { step, state });
        if (lines.length > 0) onLines(step, lines);
      }
      if (!follow || build.outcome !== "running") return build.outcome;
      await sleep(LOOK_EVERY_MS, undefined, { signal });
    }
  } finally {
    for (const { reader } of steps.values()) reader?.[Symbol.dispose]();
  }
}

function makeReadStep(): ReadStep {
  return { lines: { stdout: makeLogLines(), stderr: makeLogLines() }, isDone: false };
}

/** The whole lines that came since the last call. */
function readNew(
  store: Store,
  build: StoredBuild,
  { step, state }: { readonly step: StoredBuildStep; readonly state: ReadStep },
): string[] {
  const isRunning = build.outcome === "running" && step.outcome === "running";
  if (isRunning) state.reader ??= openLiveLogReader(store, { leaseId: build.leaseId, key: step.key });
  const chunks = state.reader?.read() ?? (isRunning ? [] : readStepLog(store, build.id, step));
  const lines = chunks.flatMap(({ stream, data }) => state.lines[stream].add(data));
  if (isRunning && !state.reader?.hasEnded()) return lines;
  state.isDone = true;
  return [...lines, ...state.lines.stdout.end(), ...state.lines.stderr.end()];
}
