import { suggestNearest } from "../../errors/suggest-nearest.ts";
import { formatPrintf } from "./format-printf.ts";
import { formatGo, GoMap, type GoValue, isTrue, lengthOf, typeOf, zeroOf } from "./go-value.ts";
import { templateError } from "./template-error.ts";

type TemplateFunction = (...args: readonly GoValue[]) => GoValue;

/** By name. */
export type TemplateFunctions = Readonly<Record<string, TemplateFunction>>;

interface Definition {
  readonly call: TemplateFunction;
  /** How many arguments it takes at least and at most. */
  readonly takes: readonly [number, number];
}

const ANY = Number.POSITIVE_INFINITY;

/** Those of Go's text/template and docker's own. `and` and `or` are not among them: they do not look at all their arguments. */
const FUNCTIONS: Readonly<Record<string, Definition>> = {
  // Go
  not: { takes: [1, 1], call: (value) => !isTrue(value) },
  len: { takes: [1, 1], call: len },
  index: { takes: [1, ANY], call: (value, ...keys) => keys.reduce(index, value) },
  slice: { takes: [1, 4], call: slice },
  print: { takes: [0, ANY], call: print },
  println: { takes: [0, ANY], call: (...values) => `${values.map(formatGo).join(" ")}\n` },
  printf: { takes: [1, ANY], call: (format, ...values) => formatPrintf(text(format, "printf"), values) },
  eq: { takes: [2, ANY], call: (value, ...others) => others.some((other) => isEqual(value, other)) },
  ne: { takes: [2, 2], call: (one, other) => !isEqual(one, other) },
  lt: { takes: [2, 2], call: (one, other) => compare(one, other) < 0 },
  le: { takes: [2, 2], call: (one, other) => compare(one, other) <= 0 },
  gt: { takes: [2, 2], call: (one, other) => compare(one, other) > 0 },
  ge: { takes: [2, 2], call: (one, other) => compare(one, other) >= 0 },
  html: {
    takes: [0, ANY],
    call: (...values) => print(...values).replace(/[&<>"'\0]/g, (mark) => HTML[mark]!),
  },
  js: {
    takes: [0, ANY],
    call: (...values) => print(...values).replace(/[\\'"<>&=\x00-\x1f]/g, escapeScript),
  },
  urlquery: { takes: [0, ANY], call: (...values) => escapeQuery(print(...values)) },
  // docker (github.com/docker/cli/templates)
  json: { takes: [1, 1], call: (value) => JSON.stringify(value ?? null) },
  split: { takes: [2, 2], call: (value, separator) => text(value, "split").split(text(separator, "split")) },
  join: {
    takes: [2, 2],
    call: (list, separator) => items(list, "join").map(formatGo).join(text(separator, "join")),
  },
  lower: { takes: [1, 1], call: (value) => text(value, "lower").toLowerCase() },
  upper: { takes: [1, 1], call: (value) => text(value, "upper").toUpperCase() },
  title: {
    takes: [1, 1],
    call: (value) => text(value, "title").replace(/(^|[^\p{L}\p{N}_'])(\p{L})/gu, (all) => all.toUpperCase()),
  },
  pad: { takes: [3, 3], call: pad },
  truncate: {
    takes: [2, 2],
    call: (value, size) => [...text(value, "truncate")].slice(0, integer(size)).join(""),
  },
};

/** @throws BuildError `option-invalid` for an unknown name or a wrong number of arguments. */
export function callFunction(name: string, args: readonly GoValue[], own: TemplateFunctions): GoValue {
  if (Object.hasOwn(own, name)) return own[name]!(...args);
  const definition = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  if (definition === undefined) {
    const near = suggestNearest(name, [...Object.keys(FUNCTIONS), "and", "or"]);
    throw templateError(`function "${name}" not defined`, near && `Did you mean "${near}"?`);
  }
  const [least, most] = definition.takes;
  if (args.length < least || args.length > most) {
    const wanted = least === most ? least : `at least ${least}`;
    throw templateError(`wrong number of arguments for ${name}: want ${wanted}, got ${args.length}`);
  }
  return definition.call(...args);
}

function len(value: GoValue): number {
  const length = lengthOf(value);
  if (length === undefined) throw templateError(`len of type ${typeOf(value)}`);
  return length;
}

function index(value: GoValue, key: GoValue): GoValue {
  if (Array.isArray(value)) {
    const position = integer(key);
    if (position >= value.length) throw templateError(`error calling index: index out of range: ${position}`);
    return value[position];
  }
  if (typeof value === "string") return Buffer.from(value)[integer(key)];
  if (typeof value !== "object" || value === null)
    throw templateError(`can't index item of type ${typeOf(value)}`);
  const name = text(key, "index");
  if (Object.hasOwn(value, name)) return (value as Record<string, unknown>)[name];
  return value instanceof GoMap ? zeroOf(value) : undefined;
}

function slice(value: GoValue, begin: GoValue = 0, end?: GoValue): GoValue {
  const size = len(value);
  const [from, to] = [integer(begin), end === undefined ? size : integer(end)];
  if (from > to || to > size) throw templateError(`error calling slice: index out of range: ${from}:${to}`);
  if (typeof value === "string") return Buffer.from(value).subarray(from, to).toString("utf8");
  return items(value, "slice").slice(from, to);
}

/** Blanks stand between values of which neither is a string. */
function print(...values: readonly GoValue[]): string {
  let all = "";
  for (const [position, value] of values.entries()) {
    const isApart = position > 0 && typeof value !== "string" && typeof values[position - 1] !== "string";
    all += (isApart ? " " : "") + formatGo(value);
  }
  return all;
}

function pad(value: GoValue, before: GoValue, after: GoValue): string {
  const padded = text(value, "pad");
  return padded === "" ? "" : " ".repeat(integer(before)) + padded + " ".repeat(integer(after));
}

function isEqual(one: GoValue, other: GoValue): boolean {
  const isNothing = (value: GoValue) => value === undefined || value === null;
  if (isNothing(one) || isNothing(other)) return isNothing(one) && isNothing(other);
  checkComparable(one, other);
  return one === other;
}

function compare(one: GoValue, other: GoValue): number {
  checkComparable(one, other);
  if (typeof one === "boolean") throw templateError("invalid type for comparison: bool");
  return (one as string) < (other as string) ? -1 : one === other ? 0 : 1;
}

function checkComparable(one: GoValue, other: GoValue): void {
  if (typeof one === "object" || typeof other === "object")
    throw templateError("invalid type for comparison");
  if (typeof one !== typeof other) throw templateError("incompatible types for comparison");
}

function text(value: GoValue, of: string): string {
  if (typeof value === "string") return value;
  throw templateError(`wrong type for an argument of ${of}: expected string; got ${typeOf(value)}`);
}

function items(value: GoValue, of: string): readonly GoValue[] {
  if (Array.isArray(value)) return value;
  throw templateError(`wrong type for an argument of ${of}: expected list; got ${typeOf(value)}`);
}

function integer(value: GoValue): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  throw templateError(`cannot use ${formatGo(value)} as an index or a length`);
}

const HTML: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
  "\0": "\uFFFD",
};

function escapeScript(mark: string): string {
  if (/[\\'"]/.test(mark)) return `\\${mark}`;
  return `\\u${mark.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

function escapeQuery(value: string): string {
  return encodeURIComponent(value)
    .replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");
}
