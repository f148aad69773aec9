import { BuildError } from "../errors/build-error.ts";
import type { Annotation } from "../index.ts";
import { machinePlatform } from "../oci/machine-platform.ts";
import { formatPlatform, parsePlatform } from "../oci/platform.ts";

const LEVELS = ["manifest", "index", "manifest-descriptor", "index-descriptor"] as const;
const LEVEL = /^([a-z-]+)(?:\[([^\]]+)\])?$/;

/**
 * Reads a value of `--annotation`: `[LEVEL[PLATFORM],...:]key=value`, as buildx has it.
 *
 * @throws BuildError `option-invalid`.
 */
export function parseAnnotation(text: string): Annotation[] {
  const refuse = (reason: string) =>
    new BuildError("option-invalid", `Cannot use "${text}" for --annotation: ${reason}`, {
      hint: `Write [LEVEL[PLATFORM]:]KEY=VALUE; levels are ${LEVELS.join(", ")}`,
    });
  const equals = text.indexOf("=");
  if (equals <= 0) throw refuse("it is not KEY=VALUE");
  const name = text.slice(0, equals);
  const value = text.slice(equals + 1);
  const colon = name.indexOf(":");
  const levels = colon < 0 ? ["manifest"] : name.slice(0, colon).split(",");
  const key = name.slice(colon + 1);
  if (key === "") throw refuse("the key is empty");
  return levels.map((level) => {
    const place = parseLevel(level.trim());
    if (place === undefined) throw refuse(`there is no level "${level}"`);
    return { ...place, key, value };
  });
}

/**
 * Reads an attribute of `--output` that is an annotation, `annotation[-LEVEL][[PLATFORM]].key`; undefined for what is none.
 *
 * @throws BuildError `option-invalid`.
 */
export function parseAnnotationAttribute(name: string, value: string): Annotation | undefined {
  const match = /^annotation(?:-([a-z-]+))?(\[[^\]]+\])?\.(.+)$/s.exec(name);
  if (match === null) return undefined;
  const [, level = "manifest", platform = "", key] = match;
  const place = parseLevel(`${level}${platform}`);
  if (place !== undefined) return { ...place, key: key!, value };
  throw new BuildError("option-invalid", `Cannot use "${name}" for --output: there is no level "${level}"`, {
    hint: `Levels are ${LEVELS.join(", ")}`,
  });
}

function parseLevel(text: string): Pick<Annotation, "level" | "platform"> | undefined {
  const [, name, platform] = LEVEL.exec(text) ?? [];
  const level = LEVELS.find((known) => known === name);
  if (level === undefined) return undefined;
  if (platform === undefined) return { level };
  return { level, platform: formatPlatform(parsePlatform(platform, machinePlatform())) };
}
