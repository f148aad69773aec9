import type { Readable, Writable } from "node:stream";
import type { FoundSetting, Settings } from "./settings/settings.ts";

/** A stream for people or programs, which may be a terminal. */
export interface OutputStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** The world that the command line works in: `process`, or a part of it. */
export interface CommandWorld {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: NodeJS.ProcessEnv;
}

/** What a command is given besides its own arguments. */
export interface CommandContext extends CommandWorld {
  /** Of the configuration files and the environment; `--root` and `--store-max` win over them. */
  settings(): Settings;
  /** The same with their sources, in the order in which they count. */
  foundSettings(): readonly FoundSetting[];
  isDebug(): boolean;
  /** Aborted by Ctrl-C and its like, with a BuildError `aborted`. */
  readonly signal: AbortSignal;
  /** Texts that errors may point into and that are no files, by the name that spans have for them. */
  readonly sources: Map<string, string>;
  /** The exit status, when it is not 0 and not a failure's. */
  setStatus(status: number): void;
  /** The exit status for a failure, when it is not `FAILURE_STATUS`. */
  setFailureStatus(status: number): void;
  /** From now on the first Ctrl-C is left to the program that runs on this terminal; the second aborts. */
  leaveFirstInterrupt(): void;
}

/** The command failed. */
export const FAILURE_STATUS = 1;
/** The command was called in a wrong way. */
export const USAGE_STATUS = 2;
/** A bug: EX_SOFTWARE of sysexits.h. */
export const BUG_STATUS = 70;
