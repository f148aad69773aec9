import { BuildError } from "../errors/build-error.ts";

/** The fields of one CSV record (RFC 4180): values of `--mount`, `--secret`, `-o`. Throws BuildError `option-invalid`. */
export function parseCsv(text: string): readonly string[] {
  const fields: string[] = [];
  let at = 0;
  while (true) {
    if (text[at] === '"') {
      const { value, end } = readQuoted(text, at);
      fields.push(value);
      at = end;
    } else {
      const comma = text.indexOf(",", at);
      const end = comma < 0 ? text.length : comma;
      const value = text.slice(at, end);
      if (value.includes('"')) refuse(text, "a quote must stand at the start of a field");
      fields.push(value);
      at = end;
    }
    if (at >= text.length) return fields;
    if (text[at] !== ",") refuse(text, "text follows a closing quote");
    at++;
  }
}

function readQuoted(text: string, start: number): { value: string; end: number } {
  let value = "";
  let at = start + 1;
  while (true) {
    const quote = text.indexOf('"', at);
    if (quote < 0) refuse(text, "a quote is not closed");
    value += text.slice(at, quote);
    if (text[quote + 1] !== '"') return { value, end: quote + 1 };
    value += '"';
    at = quote + 2;
  }
}

function refuse(text: string, problem: string): never {
  throw new BuildError("option-invalid", `Cannot read "${text}" as comma-separated fields: ${problem}`);
}
