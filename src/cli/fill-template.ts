import { BuildError } from "../errors/build-error.ts";

/**
 * Fills the simple part of Go's templates that scripts use with `docker inspect`: `{{.Id}}`, `{{.Config.Env}}`, `{{json .Config}}`,
 * and `json` for everything.
 *
 * @throws BuildError `unsupported` for the rest of the language, `option-invalid` for a field that is not there.
 */
export function fillTemplate(template: string, value: object): string {
  if (template === "json") return JSON.stringify(value);
  return template.replace(/\{\{(.*?)\}\}/gs, (whole, inner: string) => {
    const [, json, path] = /^\s*(json\s+)?\.((?:\w+(?:\.\w+)*)?)\s*$/.exec(inner) ?? [];
    if (path === undefined) {
      throw new BuildError(
        "unsupported",
        `Cannot use "${whole}" in a template: only fields and json are there yet`,
      );
    }
    const field = findField(value, path, whole);
    return json === undefined ? formatGo(field) : JSON.stringify(field);
  });
}

function findField(value: object, path: string, whole: string): unknown {
  let current: unknown = value;
  for (const key of path === "" ? [] : path.split(".")) {
    if (typeof current !== "object" || current === null || !Object.hasOwn(current, key)) {
      throw new BuildError("option-invalid", `Cannot fill in "${whole}": there is no field "${key}"`);
    }
    current = (current as Record<string, unknown>)[key];
  }
  return current;
}

/** As Go's %v prints: `[a b]`, `map[a:b]`. */
function formatGo(value: unknown): string {
  if (value === null || value === undefined) return "<no value>";
  if (Array.isArray(value)) return `[${value.map(formatGo).join(" ")}]`;
  if (typeof value !== "object") return String(value);
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `map[${fields.map(([key, field]) => `${key}:${formatGo(field)}`).join(" ")}]`;
}
