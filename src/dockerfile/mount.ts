import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import { parseCsv } from "./parse-csv.ts";

/** A `--mount` before its variables are expanded. */
export interface MountSpec {
  /** As written. */
  readonly text: string;
  readonly fields: readonly MountField[];
  /** A stage, an image or a named context. Known without expansion, for the graph depends on it. */
  readonly from?: string;
}

interface MountField {
  /** In lower case. */
  readonly key: string;
  /** Absent when there is no `=`. */
  readonly value?: string;
}

/** A `--mount` with its variables expanded and its defaults filled in, as the Dockerfile reference says. */
export interface Mount {
  readonly type: MountType;
  readonly from?: string;
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
  readonly id: string;
  readonly sharing: Sharing;
  readonly required: boolean;
  readonly sizeBytes?: number;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly env?: string;
}

export type MountType = "bind" | "cache" | "tmpfs" | "secret" | "ssh";
type Sharing = "shared" | "private" | "locked";

const TYPES: readonly MountType[] = ["bind", "cache", "tmpfs", "secret", "ssh"];
const SHARING: readonly Sharing[] = ["shared", "private", "locked"];
const KEYS =
  "type from source src target dst destination readonly ro readwrite rw required size id sharing mode uid gid env".split(
    " ",
  );

/** Splits the value of `--mount`. Throws BuildError `dockerfile-syntax`. */
export function parseMount(text: string): MountSpec {
  const fields = parseCsv(text).map((field): MountField => {
    const equals = field.indexOf("=");
    if (equals < 0) return { key: field.toLowerCase() };
    return { key: field.slice(0, equals).toLowerCase(), value: field.slice(equals + 1) };
  });
  const from = fields.findLast(({ key }) => key === "from")?.value;
  if (from !== undefined && /\$./.test(from)) {
    refuse(text, "'from' doesn't support variable expansion, define alias stage instead");
  }
  return { text, fields, from: from || undefined };
}

/** Gives a mount its meaning. `expand` expands the variables of one value. Throws BuildError `dockerfile-syntax`, and what `expand` throws. */
export function evaluateMount(spec: MountSpec, expand: (word: string) => string): Mount {
  const values = new Map<string, string>();
  for (const { key, value } of spec.fields) {
    const name = canonicalKey(spec, key);
    if (value !== undefined) values.set(name, name === "from" ? value : expand(value));
    else if (["ro", "rw", "required"].includes(name)) values.set(name, "true");
    else refuse(spec.text, `invalid field '${key}' must be a key=value pair`);
    // The last of ro and rw counts.
    if (name === "ro") values.delete("rw");
    if (name === "rw") values.delete("ro");
  }
  const type = oneOf(spec, { key: "type", value: values.get("type") ?? "bind", allowed: TYPES });
  checkKeys(spec, type, values);
  const flag = (key: string) => parseBoolean(spec, key, values.get(key));
  const isWritable = flag("rw") ?? negate(flag("ro")) ?? (type === "cache" || type === "tmpfs");
  return {
    type,
    from: values.get("from") || undefined,
    source: values.get("source") ?? "",
    target: values.get("target") ?? "",
    readOnly: !isWritable,
    id: values.get("id") ?? "",
    sharing: oneOf(spec, { key: "sharing", value: values.get("sharing") || "shared", allowed: SHARING }),
    required: flag("required") ?? false,
    sizeBytes: values.has("size") ? parseSize(spec, values.get("size")!) : undefined,
    mode: parseNumber(spec, { key: "mode", value: values.get("mode"), radix: 8 }),
    uid: parseNumber(spec, { key: "uid", value: values.get("uid"), radix: 10 }),
    gid: parseNumber(spec, { key: "gid", value: values.get("gid"), radix: 10 }),
    env: values.get("env") || undefined,
  };
}

const SYNONYMS: Readonly<Record<string, string>> = {
  src: "source",
  dst: "target",
  destination: "target",
  readonly: "ro",
  readwrite: "rw",
};

function canonicalKey(spec: MountSpec, key: string): string {
  if (!KEYS.includes(key)) refuse(spec.text, `unexpected key '${key}'`, hintNearest(key, KEYS));
  return SYNONYMS[key] ?? key;
}

function checkKeys(spec: MountSpec, type: MountType, values: ReadonlyMap<string, string>): void {
  const onlyFor = (key: string, types: readonly MountType[]) => {
    if (values.has(key) && !types.includes(type)) {
      refuse(spec.text, `unexpected key '${key}' for mount type '${type}'`);
    }
  };
  // DIFFERS: wherever it stands, before `type` as well.
  onlyFor("required", ["secret", "ssh"]);
  onlyFor("size", ["tmpfs"]);
  onlyFor("env", ["secret"]);
  onlyFor("sharing", ["cache"]);
  for (const key of ["mode", "uid", "gid"]) onlyFor(key, ["cache", "secret", "ssh"]);
  onlyFor("from", ["bind", "cache", "tmpfs", "ssh"]);
  if (type === "ssh") onlyFor("source", []);
  if (type !== "secret") return;
  if (values.has("source") && values.has("id")) refuse(spec.text, "both source and id can't be set");
  if (!["source", "target", "id"].some((key) => values.get(key))) {
    refuse(spec.text, "invalid secret mount: one of source, target, id required");
  }
}

function negate(value: boolean | undefined): boolean | undefined {
  return value === undefined ? undefined : !value;
}

function oneOf<Value extends string>(
  spec: MountSpec,
  choice: { readonly key: string; readonly value: string; readonly allowed: readonly Value[] },
): Value {
  const found = choice.allowed.find((candidate) => candidate === choice.value.toLowerCase());
  if (found !== undefined) return found;
  const what = choice.key === "type" ? "mount type" : `${choice.key} value`;
  return refuse(
    spec.text,
    `unsupported ${what} "${choice.value}"`,
    hintNearest(choice.value, choice.allowed) ?? `Use one of ${choice.allowed.join(", ")}`,
  );
}

/** The spellings of Go's `strconv.ParseBool`. */
function parseBoolean(spec: MountSpec, key: string, value: string | undefined): boolean | undefined {
  if (value === undefined) return undefined;
  if (/^(?:1|t|T|TRUE|true|True)$/.test(value)) return true;
  if (/^(?:0|f|F|FALSE|false|False)$/.test(value)) return false;
  return refuse(spec.text, `invalid value for ${key}: ${value}`);
}

function parseNumber(
  spec: MountSpec,
  field: { readonly key: string; readonly value: string | undefined; readonly radix: 8 | 10 },
): number | undefined {
  if (field.value === undefined) return undefined;
  const digits = field.radix === 8 ? /^[0-7]+$/ : /^[0-9]+$/;
  const number = digits.test(field.value) ? Number.parseInt(field.value, field.radix) : Number.NaN;
  if (number < 2 ** 32) return number;
  return refuse(spec.text, `invalid value ${field.value} for ${field.key}`);
}

const SIZE = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i;

/** Bytes of `64m`, `1.5GiB`, `1024`: docker's units are powers of 1024. */
function parseSize(spec: MountSpec, value: string): number {
  const match = SIZE.exec(value);
  if (match === null) return refuse(spec.text, `invalid value for size: ${value}`);
  return Math.floor(Number(match[1]) * 1024 ** " kmgtp".indexOf(match[2]!.toLowerCase() || " "));
}

function refuse(text: string, problem: string, hint?: string): never {
  throw new BuildError("dockerfile-syntax", `Cannot use "--mount=${text}": ${problem}`, { hint });
}
