import { BuildError } from "../errors/build-error.ts";

/** Of `--format`. @throws BuildError `unsupported` for Go templates. */
export function parseListFormat(text: string | undefined): "table" | "json" {
  if (text === undefined || text === "table" || text === "") return "table";
  if (text === "json" || /^\{\{\s*json\s+\.\s*\}\}$/.test(text)) return "json";
  throw new BuildError("unsupported", `Cannot use "${text}" for --format: templates are not there yet`, {
    hint: "Use --format json",
  });
}
