import { BuildError } from "../errors/build-error.ts";

/** In nanoseconds. */
const UNITS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  "\u00b5s": 1e3,
  "\u03bcs": 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

const DURATION = /^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+$/;
const PART = /(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g;

/** Nanoseconds of a duration as Go writes it: `1m30s`, `500ms`, `0`. Throws BuildError `dockerfile-syntax`. */
export function parseDuration(text: string): number {
  const sign = text.startsWith("-") ? -1 : 1;
  const unsigned = text.replace(/^[-+]/, "");
  if (unsigned === "0") return 0;
  if (!DURATION.test(unsigned)) {
    throw new BuildError(
      "dockerfile-syntax",
      `Cannot read "${text}" as a duration: it has no form like 1m30s`,
    );
  }
  let nanoseconds = 0;
  for (const [, number, unit] of unsigned.matchAll(PART)) nanoseconds += Number(number) * UNITS[unit!]!;
  if (nanoseconds > 2 ** 63) {
    throw new BuildError(
      "dockerfile-syntax",
      `Cannot read "${text}" as a duration: it is longer than 292 years`,
    );
  }
  return sign * Math.floor(nanoseconds);
}

/** A duration as Go's `Duration.String` has it, which stands in history entries: `1m30s`, `500ms`, `0s`. */
export function formatDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return "0s";
  if (nanoseconds < 0) return `-${formatDuration(-nanoseconds)}`;
  if (nanoseconds < 1e3) return `${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${formatDecimal(nanoseconds, 3)}\u00b5s`;
  if (nanoseconds < 1e9) return `${formatDecimal(nanoseconds, 6)}ms`;
  const seconds = Math.floor(nanoseconds / 1e9);
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  const rest = `${formatDecimal((seconds % 60) * 1e9 + (nanoseconds % 1e9), 9)}s`;
  if (hours > 0) return `${hours}h${minutes}m${rest}`;
  return minutes > 0 ? `${minutes}m${rest}` : rest;
}

/** `value` divided by ten to the power of `digits`, without trailing zeros. */
function formatDecimal(value: number, digits: number): string {
  const whole = Math.floor(value / 10 ** digits);
  const fraction = String(value % 10 ** digits)
    .padStart(digits, "0")
    .replace(/0+$/, "");
  return fraction === "" ? `${whole}` : `${whole}.${fraction}`;
}
