import { setTimeout as sleep } from "node:timers/promises";
import { cleanLogLine } from "../progress/clean-text.ts";
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

/** How often a build that runs is looked at. */
const LOOK_EVERY_MS = 200;

interface ShownStep {
  reader?: LiveLogReader;
  readonly lines: Readonly<Record<LogChunk["stream"], LogLines>>;
  isDone: boolean;
}

/**
 * Writes what the steps of a build printed, and of one that runs what it has printed so far; with `isFollowing` until it ends. Every
 * line begins with the number of its step.
 *
 * @returns how the build ended; undefined when it was forgotten meanwhile.
 */
export async function printBuildLogs(
  store: Store,
  { id }: Pick<StoredBuild, "id">,
  {
    write,
    signal,
    isFollowing,
  }: {
    readonly write: (text: string) => unknown;
    readonly signal: AbortSignal;
    readonly isFollowing: boolean;
  },
): Promise<StoredBuild["outcome"] | undefined> {
  const shown = new Map<number, ShownStep>();
  let current: number | undefined;
  const show = ({ number, stage, name }: StoredBuildStep, lines: readonly string[]) => {
    if (lines.length === 0) return;
    const header = `#${number} ${stage === "" ? "" : `[${stage}] `}${name}\n`;
    write(
      `${current === number ? "" : header}${lines.map((line) => `#${number} ${cleanLogLine(line)}\n`).join("")}`,
    );
    current = number;
  };
  try {
    for (;;) {
      const build = listBuilds(store).find((one) => one.id === id);
      if (build === undefined) return undefined;
      for (const step of listBuildSteps(store, id)) {
        const state = shown.get(step.number) ?? makeShownStep();
        shown.set(step.number, state);
        if (!state.isDone) show(step, readNew(store, build, { step, state }));
      }
      if (!isFollowing || build.outcome !== "running") return build.outcome;
      await sleep(LOOK_EVERY_MS, undefined, { signal });
    }
  } finally {
    for (const { reader } of shown.values()) reader?.[Symbol.dispose]();
  }
}

function makeShownStep(): ShownStep {
  return { lines: { stdout: makeLogLines(), stderr: makeLogLines() }, isDone: false };
}

/** The whole lines that came since the last call. */
function readNew(
  store: Store,
  build: StoredBuild,
  { step, state }: { readonly step: StoredBuildStep; readonly state: ShownStep },
): string[] {
  const isRunning = build.outcome === "running" && step.outcome === "running";
  if (isRunning) state.reader ??= openLiveLogReader(store, { leaseId: build.leaseId, key: step.key });
  const chunks = state.reader?.read() ?? (isRunning ? [] : readStepLog(store, build.id, step));
  const lines = chunks.flatMap(({ stream, data }) => state.lines[stream].add(data));
  if (isRunning && !state.reader?.hasEnded()) return lines;
  state.isDone = true;
  return [...lines, ...state.lines.stdout.end(), ...state.lines.stderr.end()];
}
