/**
 * Values of Go's templates as JavaScript has them: strings, numbers, booleans, arrays, `null` (a nil pointer), `undefined` (no value),
 * structs (any object) and maps (`GoMap`). What a struct does not show in JSON is a property that is not enumerable.
 */
export type GoValue = unknown;

/** A map, in contrast to a struct: a missing key is no error. `zeroOf` has what `index` gives for it. */
export class GoMap {
  [key: string]: unknown;
}

const zeros = new WeakMap<GoMap, GoValue>();

/** A map of the entries; a nil one, which is `null` in JSON, when there are none to speak of. */
export function makeMap(entries: object | null | undefined, zero: GoValue): GoMap {
  const map = Object.assign(new GoMap(), entries ?? {});
  if (entries === null || entries === undefined) hide(map, "toJSON", () => null);
  zeros.set(map, zero);
  return map;
}

/** A slice; a nil one, which is `null` in JSON, when there is none. */
export function makeList(items: readonly unknown[] | null | undefined): readonly unknown[] {
  if (items !== null && items !== undefined) return items;
  const list: unknown[] = [];
  hide(list, "toJSON", () => null);
  return list;
}

/** Gives an object a field that templates see and JSON does not: Go's `omitempty`. */
export function hide(value: object, name: string, field: unknown): void {
  Object.defineProperty(value, name, { value: field, enumerable: false, configurable: true });
}

export function zeroOf(map: GoMap): GoValue {
  return zeros.get(map);
}

/** Whether a value is neither false, 0, nil nor empty. */
export function isTrue(value: GoValue): boolean {
  if (value instanceof GoMap || Array.isArray(value)) return lengthOf(value)! > 0;
  if (typeof value === "object") return value !== null;
  return Boolean(value);
}

/** Of a string in bytes, as Go counts; undefined for what has no length. */
export function lengthOf(value: GoValue): number | undefined {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  return value instanceof GoMap ? Object.keys(value).length : undefined;
}

/** The name of a value's type in messages. */
export function typeOf(value: GoValue): string {
  if (value === undefined || value === null) return "nil";
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float64";
  if (Array.isArray(value)) return "list";
  return value instanceof GoMap ? "map" : "struct";
}

/** As `%v` prints: `[a b]`, `map[a:b]`, `{a b}`. At the top of a template nothing is `<no value>`, inside `<nil>`. */
export function formatGo(value: GoValue): string {
  if (value === undefined) return "<no value>";
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(formatInner).join(" ")}]`;
  if (value instanceof GoMap) {
    const keys = Object.keys(value).sort();
    return `map[${keys.map((key) => `${key}:${formatInner(value[key])}`).join(" ")}]`;
  }
  if (typeof value !== "object") return String(value);
  return `{${fieldsOf(value).map(formatInner).join(" ")}}`;
}

function formatInner(value: GoValue): string {
  return formatGo(value ?? null);
}

function fieldsOf(value: object): unknown[] {
  return Object.getOwnPropertyNames(value).map((name) => (value as Record<string, unknown>)[name]);
}
