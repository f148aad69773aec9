import { BuildError } from "../errors/build-error.ts";

/** Of `--format` where docker has no such command. @throws BuildError `option-invalid` for anything but `table` and `json`. */
export function parseListFormat(text: string | undefined): "table" | "json" {
  if (text === undefined || text === "table" || text === "") return "table";
  if (text === "json" || /^\{\{\s*json\s+\.\s*\}\}$/.test(text)) return "json";
  throw new BuildError("option-invalid", `Cannot use "${text}" for --format: it is neither table nor json`, {
    hint: "images, inspect, history and container ls take templates",
  });
}
