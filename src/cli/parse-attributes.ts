import { parseCsv } from "../dockerfile/parse-csv.ts";
import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";

export interface AttributeRules {
  /** The option, for messages: `--secret`. */
  readonly option: string;
  readonly known: readonly string[];
  /** Known by name, and refused until they exist. */
  readonly later?: readonly string[];
}

/**
 * Reads `key=value,key=value` (CSV, so that a value in quotes may hold commas).
 *
 * @throws BuildError `option-invalid` for what is no attribute or given twice, `unsupported` for what is to come.
 */
export function parseAttributes(text: string, rules: AttributeRules): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>();
  const refuse = (reason: string, hint?: string) =>
    new BuildError("option-invalid", `Cannot use "${text}" for ${rules.option}: ${reason}`, { hint });
  for (const field of parseCsv(text)) {
    const equals = field.indexOf("=");
    if (equals < 0) throw refuse(`"${field}" is not key=value`);
    const key = field.slice(0, equals).trim().toLowerCase();
    if (rules.later?.includes(key)) {
      throw new BuildError("unsupported", `Cannot use ${key}= in ${rules.option}: it is not there yet`);
    }
    if (!rules.known.includes(key)) {
      throw refuse(
        `there is no attribute "${key}"`,
        hintNearest(key, rules.known) ?? `Attributes are ${rules.known.join(", ")}`,
      );
    }
    if (attributes.has(key)) throw refuse(`it says ${key} twice`);
    attributes.set(key, field.slice(equals + 1));
  }
  return attributes;
}

/** A boolean attribute as Go's strconv reads it; `otherwise` when it is absent. */
export function parseSwitch(
  value: string | undefined,
  { name, otherwise }: { readonly name: string; readonly otherwise: boolean },
): boolean {
  if (value === undefined) return otherwise;
  if (/^(?:1|t|true)$/i.test(value)) return true;
  if (/^(?:0|f|false)$/i.test(value)) return false;
  throw new BuildError("option-invalid", `Cannot use "${value}" for ${name}: it is neither true nor false`);
}
