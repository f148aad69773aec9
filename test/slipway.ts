import { spawn } from "node:child_process";
import { resolve } from "node:path";

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
  /** Exit code; -1 when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command as a checkout has it. */
export const slipwayPath = resolve(import.meta.dirname, "../bin/slipway");

/** Runs `slipway` to its end. A failure is a result, not an error. */
export function runSlipway(args: readonly string[], options: SlipwayOptions = {}): Promise<CommandResult> {
  // What is printed must not depend on where the tests run.
  const quiet = { GITHUB_ACTIONS: undefined, GITLAB_CI: undefined, ...options.env };
  const env = options.root === undefined ? quiet : { ...quiet, SLIPWAY_ROOT: options.root };
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
