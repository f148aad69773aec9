import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { importBaseImages } from "../scripts/make-base-images.ts";

export interface SlipwayOptions {
  /** The store; absent: SLIPWAY_ROOT or the user's own. */
  readonly root?: string;
  readonly cwd?: string;
  /** On top of this process's environment; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** For stdin, which is empty otherwise. */
  readonly input?: string | Uint8Array;
  readonly signal?: AbortSignal;
}

export interface CommandResult {
  /** 128 + the signal's number after a signal would be a shell's doing: here it is -1. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command as a checkout has it. */
export const slipwayPath = resolve(import.meta.dirname, "../bin/slipway");

/** Runs `slipway` to its end. A failure is a result, not an error. */
export function runSlipway(args: readonly string[], options: SlipwayOptions = {}): Promise<CommandResult> {
  const env = options.root === undefined ? options.env : { ...options.env, SLIPWAY_ROOT: options.root };
  return runCommand(slipwayPath, args, { ...options, env });
}

/** Like `runSlipway`, but a failure throws with all that the command printed. */
export async function slipway(args: readonly string[], options: SlipwayOptions = {}): Promise<CommandResult> {
  const result = await runSlipway(args, options);
  if (result.code !== 0) {
    throw new Error(`slipway ${args.join(" ")} ended with ${result.code}:\n${result.stdout}${result.stderr}`);
  }
  return result;
}

/** Runs any program to its end, with its output as UTF-8. Rejects only when it cannot be started or is aborted. */
export function runCommand(
  program: string,
  args: readonly string[],
  { cwd, env, input, signal }: Omit<SlipwayOptions, "root"> = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, signal });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk) => stdout.push(chunk));
    child.stderr.on("data", (chunk) => stderr.push(chunk));
    // A command that does not read its stdin is no failure of ours.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    child.once("error", reject);
    child.once("close", (code) => {
      resolve({
        code: code ?? -1,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
  });
}

/** A store for one test file, removed at the end of a `using` block. */
export interface TestStore {
  readonly root: string;
  [Symbol.dispose](): void;
}

/**
 * The store for the examples, with the stand-ins for golang, alpine and nginx imported. `npm test` keeps one for the whole
 * run (SLIPWAY_EXAMPLES_ROOT), because the examples share their Go builds; a test that is run alone gets its own.
 */
export async function openExampleStore(): Promise<TestStore> {
  const shared = process.env.SLIPWAY_EXAMPLES_ROOT;
  const root = shared ?? mkdtempSync(join(tmpdir(), "slipway-examples-"));
  await importBaseImages(root);
  return {
    root,
    [Symbol.dispose]() {
      if (shared === undefined) rmSync(root, { recursive: true, force: true });
    },
  };
}
