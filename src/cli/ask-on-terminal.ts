import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import type { CommandContext } from "./command-context.ts";

/**
 * Asks for a line on the terminal. With `isSecret` nothing of what is typed is shown.
 *
 * @returns undefined when the input ends before the line does.
 * @throws the signal's reason, after Ctrl-C.
 */
export async function askOnTerminal(
  { stdin, stdout, signal }: CommandContext,
  prompt: string,
  { isSecret = false } = {},
): Promise<string | undefined> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  // As a terminal readline takes the echo upon itself, also for the secret, which it then writes nowhere.
  const lines = createInterface({ input: stdin, output: isSecret ? nowhere : stdout, terminal: isSecret });
  // After readline has turned the terminal's own echo off: somebody may answer at once.
  stdout.write(prompt);
  try {
    return await new Promise<string | undefined>((resolve, reject) => {
      lines.once("line", resolve);
      lines.once("close", () => resolve(undefined));
      // Without the echo the terminal makes no signal of Ctrl-C either.
      lines.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  } finally {
    lines.close();
    if (isSecret) stdout.write("\n");
  }
}
