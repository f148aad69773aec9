import { BuildError } from "../errors/build-error.ts";
import {
  DEFAULT_LIMITS,
  type InputLimits,
  isSizeLimit,
  LIMIT_NAMES,
  type LimitName,
} from "../errors/input-limits.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import { parseSize } from "./parse-values.ts";

/** What an index can hold. */
const NAME_SIZE_MAX = 32_767;

/** `NAME=VALUE,...` of `--limit` or SLIPWAY_LIMITS, which `what` names. @throws BuildError `option-invalid`. */
export function parseLimits(text: string, what: string): InputLimits {
  const changed: Partial<Record<LimitName, number>> = {};
  for (const pair of text.split(",").filter(Boolean)) {
    const equals = pair.indexOf("=");
    const name = pair.slice(0, equals).trim();
    const known = LIMIT_NAMES.find((limit) => limit === name);
    if (equals < 0 || known === undefined) {
      const why = equals < 0 ? "it is not NAME=VALUE" : `there is no limit "${name}"`;
      throw new BuildError("option-invalid", `Cannot use "${pair}" for ${what}: ${why}`, {
        hint: hintNearest(name, LIMIT_NAMES) ?? `Limits are ${LIMIT_NAMES.join(", ")}`,
      });
    }
    changed[known] = parseLimit(known, pair.slice(equals + 1).trim(), what);
  }
  return { ...DEFAULT_LIMITS, ...changed };
}

function parseLimit(name: LimitName, text: string, what: string): number {
  const value = isSizeLimit(name) ? parseSize(text, what) : Number(text);
  const most = name === "name-size" ? NAME_SIZE_MAX : Number.MAX_SAFE_INTEGER;
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  const range = name === "name-size" ? `from 1 to ${NAME_SIZE_MAX}` : "of at least 1";
  throw new BuildError(
    "option-invalid",
    `Cannot use "${name}=${text}" for ${what}: it is no whole number ${range}`,
  );
}
