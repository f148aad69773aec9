import { BuildError } from "../errors/build-error.ts";
import { hasColor } from "../progress/style.ts";
import { type CommandContext, FAILURE_STATUS } from "./command-context.ts";
import { formatError } from "./format-error.ts";

/** Does the work for each argument, also after one of them failed; a failure is told at once and makes the exit status. */
export async function runForEach(
  names: readonly string[],
  context: CommandContext,
  work: (name: string) => Promise<void>,
): Promise<void> {
  for (const name of names) {
    context.signal.throwIfAborted();
    try {
      await work(name);
    } catch (error) {
      if (!(error instanceof BuildError) || error.code === "aborted") throw error;
      context.setStatus(FAILURE_STATUS);
      const color = hasColor(context.stderr, context.env);
      context.stderr.write(
        formatError(error, { color, isDebug: context.isDebug(), sources: context.sources }),
      );
    }
  }
}
