import { formatGo, type GoValue, typeOf } from "./go-value.ts";

const VERB = /%([-+# 0]*)(\d+)?(?:\.(\d+))?(.)/gs;

/** Go's Printf for what templates have: %s %v %d %q %t %x %X %o %b %c %f %e %g, with flags, width and precision. */
export function formatPrintf(format: string, values: readonly GoValue[]): string {
  let used = 0;
  const text = format.replace(VERB, (_, flags: string, width?: string, precision?: string, verb?: string) => {
    if (verb === "%") return "%";
    if (used >= values.length) return `%!${verb}(MISSING)`;
    const value = values[used++];
    const shown = formatVerb(verb!, value, {
      flags,
      precision: precision === undefined ? undefined : Number(precision),
    });
    if (shown === undefined) return `%!${verb}(${goTypeOf(value)}=${formatGo(value)})`;
    return pad(shown, flags, Number(width ?? 0));
  });
  const extra = values.slice(used).map((value) => `${goTypeOf(value)}=${formatGo(value)}`);
  return extra.length === 0 ? text : `${text}%!(EXTRA ${extra.join(", ")})`;
}

interface Form {
  readonly flags: string;
  readonly precision?: number;
}

function formatVerb(verb: string, value: GoValue, { flags, precision }: Form): string | undefined {
  const isText = typeof value === "string";
  const isNumber = typeof value === "number";
  const sign = flags.includes("+") && isNumber && value >= 0 ? "+" : "";
  switch (verb) {
    case "v":
      return sign + formatGo(value);
    case "s":
      if (isNumber || typeof value === "boolean") return undefined;
      return isText && precision !== undefined ? [...value].slice(0, precision).join("") : formatGo(value);
    case "q":
      return isText
        ? JSON.stringify(value)
        : Array.isArray(value)
          ? formatGo(value.map(quoteItem))
          : undefined;
    case "t":
      return typeof value === "boolean" ? String(value) : undefined;
    case "d":
      return Number.isInteger(value) ? `${sign}${value}` : undefined;
    case "x":
    case "X": {
      const hex = isText
        ? Buffer.from(value).toString("hex")
        : isInteger(value)
          ? value.toString(16)
          : undefined;
      return verb === "X" ? hex?.toUpperCase() : hex;
    }
    case "o":
      return isInteger(value) ? value.toString(8) : undefined;
    case "b":
      return isInteger(value) ? value.toString(2) : undefined;
    case "c":
      return isInteger(value) ? String.fromCodePoint(value) : undefined;
    case "f":
      return isNumber ? sign + value.toFixed(precision ?? 6) : undefined;
    case "e":
      return isNumber ? value.toExponential(precision ?? 6).replace(/e([+-])(\d)$/, "e$10$2") : undefined;
    case "g":
      return isNumber
        ? sign + (precision === undefined ? value : Number(value.toPrecision(precision)))
        : undefined;
    default:
      return undefined;
  }
}

function isInteger(value: GoValue): value is number {
  return Number.isInteger(value);
}

function quoteItem(value: GoValue): GoValue {
  return typeof value === "string" ? JSON.stringify(value) : value;
}

function goTypeOf(value: GoValue): string {
  return typeOf(value) === "int" ? "int64" : typeOf(value);
}

function pad(text: string, flags: string, width: number): string {
  if (flags.includes("-")) return text.padEnd(width);
  if (!flags.includes("0")) return text.padStart(width);
  const [, sign = "", digits = text] = /^([+-]?)(.*)$/s.exec(text)!;
  return sign + digits.padStart(width - sign.length, "0");
}
