import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";

const METHODS = ["build", "check", "outline", "targets"] as const;

/** What is done in place of a build, and how it is shown. */
export interface Call {
  readonly method: (typeof METHODS)[number];
  readonly isJson: boolean;
  /** Findings are no failure. */
  readonly ignoresStatus: boolean;
}

/**
 * Reads `--call METHOD[,format=json|text][,ignorestatus=true]`, as buildx has it; `--check` is short for `--call check`.
 *
 * @throws BuildError `option-invalid`.
 */
export function parseCall(text: string | undefined, isCheck: boolean | undefined): Call {
  const [name = "", ...attributes] = (text ?? (isCheck ? "check" : "build")).split(",");
  // buildx's other name for it.
  const method = METHODS.find((known) => known === (name === "lint" ? "check" : name));
  if (method === undefined) {
    throw new BuildError("option-invalid", `Cannot call "${name}": there is no such method`, {
      hint: hintNearest(name, METHODS) ?? `Methods are ${METHODS.join(", ")}`,
    });
  }
  if (isCheck && method !== "check") {
    throw new BuildError("option-invalid", `Cannot use both --check and --call ${method}`);
  }
  let call: Call = { method, isJson: false, ignoresStatus: false };
  for (const attribute of attributes) {
    const [key, value = ""] = attribute.split("=", 2) as [string, string?];
    if (key === "format") call = { ...call, isJson: parseFormat(value) };
    else if (key === "ignorestatus") call = { ...call, ignoresStatus: parseBoolean(value) };
    else {
      throw new BuildError(
        "option-invalid",
        `Cannot use "${attribute}" in --call: there is no such attribute`,
        {
          hint: hintNearest(key, ["format", "ignorestatus"]) ?? "Attributes are format, ignorestatus",
        },
      );
    }
  }
  return call;
}

/** Whether a format is JSON. @throws BuildError `option-invalid`. */
export function parseFormat(text: string): boolean {
  if (text === "json" || text === "text") return text === "json";
  throw new BuildError("option-invalid", `Cannot use the format "${text}": it is neither json nor text`, {
    hint: hintNearest(text, ["json", "text"]),
  });
}

function parseBoolean(text: string): boolean {
  if (/^(?:1|t|true)$/i.test(text)) return true;
  if (/^(?:0|f|false)$/i.test(text)) return false;
  throw new BuildError(
    "option-invalid",
    `Cannot use "${text}" for ignorestatus: it is neither true nor false`,
  );
}
