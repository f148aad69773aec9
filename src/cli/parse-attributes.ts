import { parseCsv } from "../dockerfile/parse-csv.ts";
import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import type { Compression } from "../oci/media-type.ts";

const COMPRESSIONS: readonly Compression[] = ["uncompressed", "gzip", "zstd"];

export interface AttributeRules {
  /** The option, for messages: `--secret`. */
  readonly option: string;
  readonly known: readonly string[];
  /** May stand without a value: then they are on. */
  readonly switches?: readonly string[];
}

export type Attributes = ReadonlyMap<string, string>;
/** An error about the option's whole value. */
export type Refuse = (reason: string, hint?: string) => BuildError;

/**
 * Reads `key=value,key=value` (CSV, so that a value in quotes may hold commas).
 *
 * @throws BuildError `option-invalid` for what is no attribute or given twice.
 */
export function parseAttributes(text: string, rules: AttributeRules): Attributes {
  const attributes = new Map<string, string>();
  const refuse = (reason: string, hint?: string) =>
    new BuildError("option-invalid", `Cannot use "${text}" for ${rules.option}: ${reason}`, { hint });
  for (const field of parseCsv(text)) {
    const isBare = rules.switches?.includes(field.trim().toLowerCase()) === true;
    const equals = isBare ? field.length : field.indexOf("=");
    if (equals < 0) throw refuse(`"${field}" is not key=value`);
    const key = field.slice(0, equals).trim().toLowerCase();
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
function parseSwitch(
  value: string | undefined,
  { name, otherwise }: { readonly name: string; readonly otherwise: boolean },
): boolean {
  if (value === undefined) return otherwise;
  if (/^(?:1|t|true)$/i.test(value)) return true;
  if (/^(?:0|f|false)$/i.test(value)) return false;
  throw new BuildError("option-invalid", `Cannot use "${value}" for ${name}: it is neither true nor false`);
}

/** A switch without a value is on. */
export function readSwitch(attributes: Attributes, name: string, otherwise: boolean): boolean {
  const value = attributes.get(name);
  return parseSwitch(value === "" ? "true" : value, { name, otherwise });
}

/** How layers are compressed; undefined where nothing is said. */
export function readCompression(attributes: Attributes, refuse: Refuse): Compression | undefined {
  const text = attributes.get("compression");
  const found = COMPRESSIONS.find((compression) => compression === text);
  if (text === undefined || found !== undefined) return found;
  throw refuse(
    `there is no compression "${text}"`,
    hintNearest(text, COMPRESSIONS) ?? "It is uncompressed, gzip or zstd",
  );
}

/** `compression-level`, in the range of the compression. */
export function readLevel(attributes: Attributes, refuse: Refuse): { readonly compressionLevel?: number } {
  const text = attributes.get("compression-level");
  if (text === undefined) return {};
  const compression = attributes.get("compression") ?? "gzip";
  const [least, most] = compression === "zstd" ? [1, 22] : [0, 9];
  const level = /^\d{1,2}$/.test(text) ? Number(text) : -1;
  if (level < least || level > most)
    throw refuse(`compression-level is "${text}", not a number from ${least} to ${most}`);
  return { compressionLevel: level };
}
