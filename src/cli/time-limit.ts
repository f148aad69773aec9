import { BuildError } from "../errors/build-error.ts";
import { parseDuration } from "./parse-until.ts";

/** A signal that is aborted by another one, or when the time is up. */
export interface TimeLimit extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * `--timeout`: the signal's reason then is a BuildError `aborted`. Without a duration there is no limit.
 *
 * @throws BuildError `option-invalid` for what is no duration.
 */
export function startTimeLimit(duration: string | undefined, signal: AbortSignal): TimeLimit {
  if (duration === undefined) return { signal, [Symbol.dispose]: () => {} };
  const controller = new AbortController();
  const stop = () => controller.abort(new BuildError("aborted", `Stopped: it took longer than ${duration}`));
  const timer = setTimeout(stop, parseDuration(duration, "--timeout"));
  return {
    signal: AbortSignal.any([signal, controller.signal]),
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}
