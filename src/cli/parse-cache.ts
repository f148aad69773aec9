import { parseCsv } from "../dockerfile/parse-csv.ts";
import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import type { CacheForm, CacheSource, CacheTarget } from "../index.ts";
import { isDigest } from "../oci/digest.ts";
import { parseImageReference } from "../oci/reference.ts";
import {
  type Attributes,
  parseAttributes,
  type Refuse,
  readCompression,
  readLevel,
  readSwitch,
} from "./parse-attributes.ts";

const TYPES = ["local", "registry", "inline"];
/** docker's, which need a server that nobody has here. */
const REFUSED_TYPES = ["gha", "s3", "azblob"];

const FORM = [
  "mode",
  "mounts",
  "compression",
  "compression-level",
  "oci-mediatypes",
  "image-manifest",
  "ignore-error",
];
const SWITCHES = ["oci-mediatypes", "image-manifest", "ignore-error", "reset", "registry.insecure"];
/** What means something for each type. */
const SOURCE_ATTRIBUTES: Readonly<Record<string, readonly string[]>> = {
  local: ["src", "tag", "digest"],
  registry: ["ref", "registry.insecure"],
};
const TARGET_ATTRIBUTES: Readonly<Record<string, readonly string[]>> = {
  local: ["dest", "tag", "reset", ...FORM],
  registry: ["ref", "registry.insecure", ...FORM],
  inline: [],
};

/**
 * Reads a value of `--cache-from`: `type=local,src=DIR`, `type=registry,ref=NAME`, or names of images or caches at registries.
 *
 * @throws BuildError `option-invalid`, `unsupported`.
 */
export function parseCacheSources(text: string): CacheSource[] {
  const names = parseNames(text);
  if (names !== undefined) return names.map((reference) => ({ type: "registry", reference }));
  const { type, attributes, refuse } = parseCache(text, {
    option: "--cache-from",
    allowed: SOURCE_ATTRIBUTES,
  });
  if (type === "registry") return [{ type, ...readReference(attributes, refuse) }];
  const directory = attributes.get("src");
  if (!directory) throw refuse("it has no src", "Add src=DIRECTORY");
  const digest = attributes.get("digest");
  if (digest !== undefined && !isDigest(digest)) throw refuse(`"${digest}" is no digest`);
  const selector = digest ?? attributes.get("tag");
  return [{ type: "local", directory, ...(selector !== undefined && { selector }) }];
}

/**
 * Reads a value of `--cache-to`: `type=local,dest=DIR`, `type=registry,ref=NAME`, `type=inline`, or a name at a registry.
 *
 * @throws BuildError `option-invalid`, `unsupported`.
 */
export function parseCacheTargets(text: string): CacheTarget[] {
  const names = parseNames(text);
  if (names !== undefined) return names.map((reference) => ({ type: "registry", reference, mode: "min" }));
  const { type, attributes, refuse } = parseCache(text, { option: "--cache-to", allowed: TARGET_ATTRIBUTES });
  if (type === "inline") return [{ type }];
  const form = readForm(attributes, refuse);
  if (type === "registry") return [{ type, ...readReference(attributes, refuse), ...form }];
  const directory = attributes.get("dest");
  if (!directory) throw refuse("it has no dest", "Add dest=DIRECTORY");
  const tag = attributes.get("tag");
  const reset = readSwitch(attributes, "reset", false);
  return [{ type: "local", directory, ...(tag && { tag }), ...(reset && { reset }), ...form }];
}

/** docker takes fields without a key as names. */
function parseNames(text: string): readonly string[] | undefined {
  const fields = parseCsv(text);
  if (text === "" || fields.some((field) => field.includes("="))) return undefined;
  for (const name of fields) parseImageReference(name);
  return fields;
}

function parseCache<Type extends string>(
  text: string,
  {
    option,
    allowed,
  }: { readonly option: string; readonly allowed: Readonly<Record<Type, readonly string[]>> },
): { readonly type: string; readonly attributes: Attributes; readonly refuse: Refuse } {
  const refuse: Refuse = (reason, hint) =>
    new BuildError("option-invalid", `Cannot use "${text}" for ${option}: ${reason}`, { hint });
  // The type first: those of the refused ones have attributes of their own.
  const type = /(?:^|,)\s*type=([^,]*)/i.exec(text)?.[1] ?? "";
  if (REFUSED_TYPES.includes(type)) {
    throw new BuildError("unsupported", `Cannot use type=${type} in ${option}: slipway has no such cache`, {
      hint: `Types are ${Object.keys(allowed).join(", ")}`,
    });
  }
  if (!Object.hasOwn(allowed, type)) {
    const isKnown = TYPES.includes(type);
    throw refuse(
      type === ""
        ? "it has no type"
        : isKnown
          ? "an image's own cache is found by the image's name"
          : `there is no cache type "${type}"`,
      isKnown
        ? "Write type=registry,ref=IMAGE"
        : (hintNearest(type, Object.keys(allowed)) ?? `Types are ${Object.keys(allowed).join(", ")}`),
    );
  }
  const known = ["type", ...new Set(Object.values<readonly string[]>(allowed).flat())];
  const attributes = parseAttributes(joinMounts(text), { option, known, switches: SWITCHES });
  const wrong = [...attributes.keys()].find((key) => key !== "type" && !allowed[type as Type].includes(key));
  if (wrong !== undefined) throw refuse(`${wrong} means nothing for the type ${type}`);
  return { type, attributes, refuse };
}

/** `mounts=one,two` is one field, though a comma ends others. */
function joinMounts(text: string): string {
  const fields: string[] = [];
  for (const field of parseCsv(text)) {
    const last = fields.at(-1);
    const isMore = !field.includes("=") && !SWITCHES.includes(field) && last?.startsWith("mounts=") === true;
    if (isMore) fields[fields.length - 1] = `${last},${field}`;
    else fields.push(field);
  }
  return fields.map((field) => (/[",]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)).join(",");
}

function readReference(attributes: Attributes, refuse: Refuse) {
  const reference = attributes.get("ref");
  if (!reference) throw refuse("it has no ref", "Add ref=REGISTRY/NAME:TAG");
  parseImageReference(reference);
  return { reference, ...(readSwitch(attributes, "registry.insecure", false) && { insecure: true }) };
}

function readForm(attributes: Attributes, refuse: Refuse): CacheForm {
  const mode = attributes.get("mode") ?? "min";
  if (mode !== "min" && mode !== "max") throw refuse(`mode is "${mode}", not min or max`);
  if (!readSwitch(attributes, "image-manifest", true))
    throw refuse("slipway's cache is always an image manifest", "Leave image-manifest=false out");
  const compression = readCompression(attributes, refuse);
  const mounts = (attributes.get("mounts") ?? "").split(",").filter((id) => id !== "");
  return {
    mode,
    ...(mounts.length > 0 && { mounts }),
    ...(compression && { compression }),
    ...readLevel(attributes, refuse),
    ...(!readSwitch(attributes, "oci-mediatypes", true) && { ociMediaTypes: false }),
    ...(readSwitch(attributes, "ignore-error", false) && { ignoreError: true }),
  };
}
