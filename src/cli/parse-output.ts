import { parseCsv } from "../dockerfile/parse-csv.ts";
import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import {
  type Annotation,
  type ArchiveOutput,
  type BuildOutput,
  findEngine,
  type ImageForm,
} from "../index.ts";
import type { OutputStream } from "./command-context.ts";
import { parseAnnotationAttribute } from "./parse-annotation.ts";
import {
  type Attributes,
  parseAttributes,
  type Refuse,
  readCompression,
  readLevel,
  readSwitch,
} from "./parse-attributes.ts";

const TYPES = ["image", "registry", "oci", "docker", "cacheonly", "local", "tar"] as const;
type OutputType = (typeof TYPES)[number];

const FORM = [
  "name",
  "oci-mediatypes",
  "compression",
  "compression-level",
  "force-compression",
  "rewrite-timestamp",
  "source-date-epoch",
];
const IMAGE = [...FORM, "push", "push-by-digest", "registry.insecure", "store"];
const ARCHIVE = [...FORM, "dest", "tar"];
const FILES = ["dest", "platform-split", "source-date-epoch"];
/** What means something for each type. */
const ALLOWED: Readonly<Record<OutputType, readonly string[]>> = {
  image: IMAGE,
  registry: IMAGE,
  oci: ARCHIVE,
  docker: ARCHIVE,
  cacheonly: [],
  local: [...FILES, "mode"],
  tar: FILES,
};
const KNOWN = ["type", ...new Set([...IMAGE, ...ARCHIVE, ...FILES, "mode"])];

export interface OutputContext {
  readonly stdout: OutputStream;
  /** For the address of a docker engine. */
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Reads a value of `--output`: `type=oci,dest=app.tar`, with a target in front where there are several (`app=type=oci,...`); a
 * directory alone is `type=local`, `-` alone a tar on stdout. `-` as `dest` is stdout, which must be no terminal.
 *
 * @throws BuildError `option-invalid`, `unsupported`.
 */
export function parseOutput(text: string, context: OutputContext): BuildOutput {
  const refuse: Refuse = (reason, hint) =>
    new BuildError("option-invalid", `Cannot use "${text}" for --output: ${reason}`, { hint });
  const [, target, own] = /^([\w][\w.-]*)=(type=.*)$/s.exec(text) ?? [];
  if (own !== undefined) return { ...parseOutput(own, context), target };
  if (text === "") throw refuse("it is empty");
  if (text === "-") return { type: "tar", dest: chooseStream(context, refuse) };
  if (!text.includes("=")) return { type: "local", dest: text };

  const { annotations, rest } = takeAnnotations(text);
  const attributes = parseAttributes(rest, { option: "--output", known: KNOWN });
  const typeText = attributes.get("type") ?? "";
  const type = TYPES.find((known) => known === typeText);
  if (type === undefined) {
    throw refuse(
      typeText === "" ? "it has no type" : `there is no output type "${typeText}"`,
      hintNearest(typeText, TYPES) ?? `Types are ${TYPES.join(", ")}`,
    );
  }
  const wrong = [...attributes.keys()].find((key) => key !== "type" && !ALLOWED[type].includes(key));
  if (wrong !== undefined) throw refuse(`${wrong} means nothing for the type ${type}`);
  if (annotations.length > 0 && !ALLOWED[type].includes("name"))
    throw refuse(`annotations mean nothing for the type ${type}`);
  return makeOutput(type, { attributes, annotations, refuse, context });
}

function makeOutput(
  type: OutputType,
  {
    attributes,
    annotations,
    refuse,
    context,
  }: {
    readonly attributes: Attributes;
    readonly annotations: readonly Annotation[];
    readonly refuse: Refuse;
    readonly context: OutputContext;
  },
): BuildOutput {
  const isOn = (name: string, otherwise = false) => readSwitch(attributes, name, otherwise);
  switch (type) {
    case "cacheonly":
      return { type };
    case "image":
    case "registry":
      return {
        type: "image",
        ...readForm(attributes, { annotations, refuse }),
        push: isOn("push", type === "registry"),
        ...(isOn("push-by-digest") && { pushByDigest: true }),
        ...(isOn("registry.insecure") && { insecure: true }),
        ...(!isOn("store", true) && { store: false }),
      };
    case "oci":
    case "docker": {
      const tar = isOn("tar", true);
      const dest = chooseArchiveDest(type, { attributes, tar, refuse, context });
      return { type, ...readForm(attributes, { annotations, refuse }), tar, dest };
    }
    case "local":
    case "tar": {
      const dest = attributes.get("dest") ?? (type === "tar" ? "-" : "");
      if (dest === "") throw refuse("it has no dest", "Add dest=DIRECTORY");
      const common = {
        ...(attributes.has("platform-split") && { platformSplit: isOn("platform-split") }),
        ...readEpoch(attributes, refuse),
      };
      if (type === "tar")
        return { type, ...common, dest: dest === "-" ? chooseStream(context, refuse) : dest };
      if (dest === "-") throw refuse("a directory needs a path", "Add dest=DIRECTORY, or use type=tar");
      const mode = attributes.get("mode") ?? "copy";
      if (mode !== "copy" && mode !== "delete") throw refuse(`mode is "${mode}", not copy or delete`);
      return { type, ...common, dest, mode };
    }
  }
}

/** BuildKit and buildx load a `docker` output without `dest` into the engine. */
function chooseArchiveDest(
  type: "oci" | "docker",
  {
    attributes,
    tar,
    refuse,
    context,
  }: {
    readonly attributes: Attributes;
    readonly tar: boolean;
    readonly refuse: Refuse;
    readonly context: OutputContext;
  },
): ArchiveOutput["dest"] {
  const dest = attributes.get("dest");
  if (dest === "") throw refuse("dest is empty");
  if (dest !== undefined && dest !== "-") return dest;
  if (!tar) throw refuse("a directory needs a path", "Add dest=DIRECTORY");
  if (type === "docker" && dest === undefined) return findEngine(context.env);
  return chooseStream(context, refuse);
}

function chooseStream({ stdout }: OutputContext, refuse: Refuse): OutputStream {
  if (stdout.isTTY) throw refuse("a terminal shows no archive", "Add dest=FILE, or redirect stdout");
  return stdout;
}

function readForm(
  attributes: Attributes,
  { annotations, refuse }: { readonly annotations: readonly Annotation[]; readonly refuse: Refuse },
): ImageForm {
  const compression = readCompression(attributes, refuse);
  const rewrite = attributes.get("rewrite-timestamp");
  const rewrites = rewrite === "all" || readSwitch(attributes, "rewrite-timestamp", false);
  return {
    names: (attributes.get("name") ?? "").split(",").filter((name) => name !== ""),
    ...(attributes.has("oci-mediatypes") && {
      ociMediaTypes: readSwitch(attributes, "oci-mediatypes", true),
    }),
    ...(compression && { compression }),
    ...readLevel(attributes, refuse),
    ...(readSwitch(attributes, "force-compression", false) && { forceCompression: true }),
    ...(annotations.length > 0 && { annotations }),
    ...(rewrites && { rewriteTimestamp: rewrite === "all" ? ("all" as const) : ("clamp" as const) }),
    ...readEpoch(attributes, refuse),
  };
}

/** Empty says nothing, as in BuildKit. */
function readEpoch(attributes: Attributes, refuse: Refuse): Pick<ImageForm, "sourceDateEpoch"> {
  const text = attributes.get("source-date-epoch");
  if (text === undefined || text === "") return {};
  if (!/^[+-]?\d{1,12}$/.test(text)) throw refuse(`source-date-epoch is "${text}", not seconds since 1970`);
  return { sourceDateEpoch: Number(text) };
}

/** Annotations have keys of their own, in which case counts. */
function takeAnnotations(text: string): { readonly annotations: Annotation[]; readonly rest: string } {
  const annotations: Annotation[] = [];
  const rest: string[] = [];
  for (const field of parseCsv(text)) {
    const equals = field.indexOf("=");
    const found =
      equals < 0
        ? undefined
        : parseAnnotationAttribute(field.slice(0, equals).trim(), field.slice(equals + 1));
    if (found === undefined) rest.push(/[",]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);
    else annotations.push(found);
  }
  return { annotations, rest: rest.join(",") };
}
