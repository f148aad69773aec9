import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";

/** Names of Linux signals, without SIG. */
const SIGNALS: readonly string[] = (
  "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP " +
  "TTIN TTOU UNUSED URG USR1 USR2 VTALRM WINCH XCPU XFSZ"
).split(" ");

const REAL_TIME = /^RTM(?:IN(?:\+(?:[0-9]|1[0-5]))?|AX(?:-(?:[0-9]|1[0-4]))?)$/;

/** Checks the name or number of a signal, with or without SIG, in any case. Throws BuildError `dockerfile-syntax`. */
export function parseSignal(text: string): void {
  const number = /^\d+$/.test(text) ? Number(text) : undefined;
  if (number !== undefined && number > 0) return;
  const name = text.toUpperCase().replace(/^SIG/, "");
  if (number === undefined && (SIGNALS.includes(name) || REAL_TIME.test(name))) return;
  throw new BuildError("dockerfile-syntax", `Cannot use "${text}" as a signal: invalid signal: ${text}`, {
    hint: hintNearest(
      `SIG${name}`,
      SIGNALS.map((signal) => `SIG${signal}`),
    ),
  });
}
