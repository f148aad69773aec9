import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";

/** Scratch directories of commands, each with those of `RUN_DIRECTORY`, which are empty. */
export interface RunDirectories {
  /** An empty one, which is the caller's. */
  take(): string;
  /** Makes the next one. For while a command runs: to make four directories takes a millisecond where many were removed just before. */
  prepare(): void;
}

/** Below `parent`; one that nobody takes goes with it. */
export function makeRunDirectories(parent: string): RunDirectories {
  let ready: string | undefined;
  const make = (): string => {
    const directory = mkdtempSync(join(parent, "run-"));
    for (const name of Object.values(RUN_DIRECTORY)) mkdirSync(join(directory, name));
    return directory;
  };
  return {
    take() {
      const directory = ready ?? make();
      ready = undefined;
      return directory;
    },
    prepare() {
      try {
        ready ??= make();
      } catch {
        // Whoever takes the next one is told.
      }
    },
  };
}

/** Where the changes go; what the kernel wants beside that; what becomes a layer's directory in the store. */
export const RUN_DIRECTORY = { upper: "upper", work: "work", layer: "layer" } as const;
