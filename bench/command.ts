/** One process to start and wait for. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** On top of this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What it took to run some commands, one after the other. */
export interface Measurement {
  /** From the first spawn to the last exit. */
  readonly timeMs: number;
  /** The most that all processes of the tool held at one moment, in bytes (PSS); absent unless asked for. */
  readonly peakBytes?: number;
}
