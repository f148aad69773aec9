import { constants } from "node:os";
import { BuildError } from "../errors/build-error.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export interface SignalWatch extends Disposable {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  /** 128 and the number of the signal that came; undefined when none did. */
  exitStatus(): number | undefined;
  leaveFirstInterrupt(): void;
}

/** The first signal asks the command to clean up and end; the second ends the process at once. */
export function watchSignals(): SignalWatch {
  const controller = new AbortController();
  let status: number | undefined;
  let interruptsToLeave = 0;
  const onSignal = (name: (typeof SIGNALS)[number]) => {
    if (name === "SIGINT" && interruptsToLeave > 0) {
      interruptsToLeave--;
      return;
    }
    if (status !== undefined) process.exit(128 + constants.signals[name]);
    status = 128 + constants.signals[name];
    controller.abort(new BuildError("aborted", `Stopped by ${name}`));
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  return {
    signal: controller.signal,
    exitStatus: () => status,
    leaveFirstInterrupt() {
      interruptsToLeave = 1;
    },
    [Symbol.dispose]() {
      for (const name of SIGNALS) process.off(name, onSignal);
    },
  };
}
