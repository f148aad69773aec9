import { BuildError, type BuildErrorCode } from "../errors/build-error.ts";
import { hasColor } from "../progress/style.ts";
import { type CommandContext, FAILURE_STATUS } from "./command-context.ts";
import { formatError } from "./format-error.ts";

/**
 * Does the work for each argument, also after one of them failed; a failure is told at once and makes the exit status, unless it is of a code
 * that may pass.
 */
export async function runForEach(
  names: readonly string[],
  context: CommandContext,
  work: (name: string) => Promise<void>,
  { mayPass }: { readonly mayPass?: BuildErrorCode } = {},
): Promise<void> {
  for (const name of names) {
    context.signal.throwIfAborted();
    try {
      await work(name);
    } catch (error) {
      if (!(error instanceof BuildError) || error.code === "aborted") throw error;
      if (error.code !== mayPass) context.setStatus(FAILURE_STATUS);
      const color = hasColor(context.stderr, context.env);
      context.stderr.write(
        formatError(error, { color, isDebug: context.isDebug(), sources: context.sources }),
      );
    }
  }
}
