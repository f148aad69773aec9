import { BuildError } from "../errors/build-error.ts";

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * The value of `--filter until=`: a duration back from now (`24h`, `1h30m`, `7d`), seconds since 1970 or a date, as docker has it.
 *
 * @returns milliseconds since 1970.
 * @throws BuildError `option-invalid`.
 */
export function parseUntil(text: string, now: number): number {
  const age = parseAge(text);
  if (age !== undefined) return now - age;
  if (/^\d{9,11}$/.test(text)) return Number(text) * 1000;
  const date = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(date)) return date;
  throw new BuildError("option-invalid", `Cannot use "until=${text}" for --filter: it is no time`, {
    hint: "Write a duration like 24h, or a date like 2024-01-31T12:00:00Z",
  });
}

/** `24h`, `1h30m`, `7d`, `500ms`, `0` in milliseconds. @throws BuildError `option-invalid`. */
export function parseDuration(text: string, what: string): number {
  const age = parseAge(text);
  if (age !== undefined) return age;
  throw new BuildError("option-invalid", `Cannot use "${text}" for ${what}: it is no duration`, {
    hint: "Write it like 24h or 1h30m",
  });
}

/** Undefined when it is no duration. */
function parseAge(text: string): number | undefined {
  if (text === "0") return 0;
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(text)) return undefined;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)];
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * UNITS[unit!]!, 0);
}
