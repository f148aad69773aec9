import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { runCommand } from "./slipway.ts";
import { type LayerMember, validateLayerTar } from "./validate-layer-tar.ts";

/**
 * The oracle that every image of a test goes through: whether a layout is one by the letter of OCI image spec 1.1. It shares no
 * code with what it judges.
 */
export interface ValidateOptions {
  /** A layout where blobs may lie too: for one whose base layers were left out. */
  readonly shared?: string;
  /** Layers that other tools made need not list the directories of what they hold. */
  readonly mayMissParents?: boolean;
}

/** What the layout holds, for further assertions. */
export interface ValidatedImage {
  readonly digest: string;
  readonly platform: string | undefined;
  readonly manifest: JsonObject;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it at will
  readonly config: any;
  /** The members of each layer's tar, bottom first. */
  readonly layers: readonly (readonly LayerMember[])[];
}

type JsonObject = Record<string, unknown>;

interface Blobs {
  read(descriptor: JsonObject, what: string): Buffer;
}

interface Walk {
  readonly blobs: Blobs;
  readonly images: Map<string, ValidatedImage>;
  readonly options: ValidateOptions;
}

const OCI = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layers: {
    "application/vnd.oci.image.layer.v1.tar": "none",
    "application/vnd.oci.image.layer.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd": "zstd",
  },
} as const;
const DOCKER = {
  index: "application/vnd.docker.distribution.manifest.list.v2+json",
  manifest: "application/vnd.docker.distribution.manifest.v2+json",
  config: "application/vnd.docker.container.image.v1+json",
  layers: {
    "application/vnd.docker.image.rootfs.diff.tar": "none",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": "zstd",
  },
} as const;

/**
 * Checks the images of an OCI layout, a directory or a tar of one.
 *
 * @throws Error that names the rule that is broken.
 */
export async function validateImageLayout(
  path: string,
  options: ValidateOptions = {},
): Promise<readonly ValidatedImage[]> {
  if (statSync(path).isDirectory()) return validateDirectory(path, options);
  const directory = await mkdtemp(join(tmpdir(), "slipway-validate-"));
  try {
    const { code, stderr } = await runCommand("tar", ["-x", "-f", path, "-C", directory]);
    if (code !== 0) throw new Error(`${path} is no tar: ${stderr}`);
    const images = validateDirectory(directory, options);
    if (existsSync(join(directory, "manifest.json"))) validateDockerManifest(directory, images);
    return images;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function validateDirectory(directory: string, options: ValidateOptions): ValidatedImage[] {
  const { shared } = options;
  const layout = parseJson(readFileSync(join(directory, "oci-layout")), "oci-layout");
  check(layout.imageLayoutVersion === "1.0.0", "oci-layout: imageLayoutVersion is not 1.0.0");
  const blobs = openBlobs([directory, ...(shared === undefined ? [] : [shared])]);
  const index = parseJson(readFileSync(join(directory, "index.json")), "index.json");
  check(index.schemaVersion === 2, "index.json: schemaVersion is not 2");
  check(
    index.mediaType === undefined || index.mediaType === OCI.index,
    `index.json: its media type is ${index.mediaType}`,
  );
  const images = new Map<string, ValidatedImage>();
  for (const entry of asList(index.manifests, "index.json: manifests"))
    visit(entry, { blobs, images, options });
  check(images.size > 0, "index.json: there is no image");
  for (const name of readdirSync(join(directory, "blobs/sha256"))) {
    const bytes = readFileSync(join(directory, "blobs/sha256", name));
    check(sha256(bytes) === `sha256:${name}`, `blobs/sha256/${name}: its bytes have another digest`);
  }
  return [...images.values()];
}

/** Follows a descriptor to a manifest, through indexes. */
function visit(entry: JsonObject, walk: Walk, depth = 0): void {
  const { blobs, images, options } = walk;
  const { mediaType, digest } = entry;
  const bytes = blobs.read(entry, `the manifest ${digest}`);
  const document = parseJson(bytes, `the manifest ${digest}`);
  check(document.schemaVersion === 2, `${digest}: schemaVersion is not 2`);
  check(
    document.mediaType === mediaType,
    `${digest}: its media type is ${document.mediaType}, its descriptor says ${mediaType}`,
  );
  if (mediaType === OCI.index || mediaType === DOCKER.index) {
    check(depth < 4, `${digest}: indexes lie too deep in each other`);
    for (const inner of asList(document.manifests, `${digest}: manifests`)) {
      check(isObject(inner.platform), `${digest}: an entry has no platform`);
      visit(inner, walk, depth + 1);
    }
    return;
  }
  const family = mediaType === OCI.manifest ? OCI : mediaType === DOCKER.manifest ? DOCKER : undefined;
  if (family === undefined) throw new Error(`${digest}: ${mediaType} is no manifest`);
  if (isAttestation(entry)) return;
  images.set(String(digest), validateManifest(entry, document, { blobs, family, options }));
}

function isAttestation({ annotations }: JsonObject): boolean {
  return isObject(annotations) && annotations["vnd.docker.reference.type"] === "attestation-manifest";
}

function validateManifest(
  entry: JsonObject,
  manifest: JsonObject,
  {
    blobs,
    family,
    options,
  }: {
    readonly blobs: Blobs;
    readonly family: typeof OCI | typeof DOCKER;
    readonly options: ValidateOptions;
  },
): ValidatedImage {
  const name = String(entry.digest);
  check(isObject(manifest.config), `${name}: there is no config`);
  const configDescriptor = manifest.config as JsonObject;
  check(
    configDescriptor.mediaType === family.config,
    `${name}: the config's media type is ${configDescriptor.mediaType}`,
  );
  const config = parseJson(blobs.read(configDescriptor, `${name}: the config`), `${name}: the config`);
  validateConfig(config, name);
  validatePlatform(config, entry.platform, name);

  const diffIds = (config.rootfs as JsonObject).diff_ids as string[];
  const descriptors = asList(manifest.layers, `${name}: layers`);
  check(
    descriptors.length === diffIds.length,
    `${name}: ${descriptors.length} layers, but ${diffIds.length} diff IDs`,
  );
  const history = asList(config.history ?? [], `${name}: history`);
  const withLayer = history.filter((one) => one.empty_layer !== true).length;
  check(
    history.length === 0 || withLayer === diffIds.length,
    `${name}: ${withLayer} history entries have a layer, but there are ${diffIds.length} layers`,
  );
  const layers = descriptors.map((descriptor, position) => {
    const compression = (family.layers as Record<string, string>)[String(descriptor.mediaType)];
    check(compression !== undefined, `${name}: layer ${position} has the media type ${descriptor.mediaType}`);
    const where = `${name}: layer ${position}`;
    const tar = inflate(blobs.read(descriptor, where), compression!, where);
    check(
      sha256(tar) === diffIds[position],
      `${where}: its diff ID is ${sha256(tar)}, the config says ${diffIds[position]}`,
    );
    return validateLayerTar(tar, where, options);
  });
  const platform = `${config.os}/${config.architecture}${config.variant === undefined ? "" : `/${config.variant}`}`;
  return { digest: name, platform, manifest, config, layers };
}

function validateConfig(config: JsonObject, name: string): void {
  for (const key of ["os", "architecture"]) {
    check(typeof config[key] === "string" && config[key] !== "", `${name}: the config has no ${key}`);
  }
  const { rootfs } = config;
  check(isObject(rootfs) && rootfs.type === "layers", `${name}: rootfs.type is not "layers"`);
  const diffIds = (rootfs as JsonObject).diff_ids;
  check(
    Array.isArray(diffIds) && diffIds.every((one) => /^sha256:[0-9a-f]{64}$/.test(String(one))),
    `${name}: rootfs.diff_ids is no list of digests`,
  );
  const times = [
    config.created,
    ...asList(config.history ?? [], `${name}: history`).map((one) => one.created),
  ];
  for (const time of times) {
    // RFC 3339, section 5.6
    const isTime =
      typeof time === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(time);
    check(time === undefined || isTime, `${name}: "${time}" is no time of RFC 3339`);
  }
  if (config.config !== undefined) validateContainerConfig(config.config, name);
}

function validateContainerConfig(config: unknown, name: string): void {
  if (!isObject(config)) throw new Error(`${name}: config is no object`);
  for (const key of ["Env", "Entrypoint", "Cmd", "Shell", "OnBuild"]) {
    const value = config[key] ?? [];
    const isList = Array.isArray(value) && value.every((one) => typeof one === "string");
    check(isList, `${name}: config.${key} is no list of strings`);
  }
  const env = (config.Env ?? []) as string[];
  check(
    env.every((one) => one.indexOf("=") > 0),
    `${name}: an entry of config.Env is not NAME=VALUE`,
  );
  const names = env.map((one) => one.slice(0, one.indexOf("=")));
  check(new Set(names).size === names.length, `${name}: config.Env has a name twice`);
  for (const key of ["ExposedPorts", "Volumes", "Labels"]) {
    check(config[key] === undefined || isObject(config[key]), `${name}: config.${key} is no object`);
  }
  for (const key of ["User", "WorkingDir", "StopSignal"]) {
    check(
      config[key] === undefined || typeof config[key] === "string",
      `${name}: config.${key} is no string`,
    );
  }
}

function validatePlatform(config: JsonObject, platform: unknown, name: string): void {
  if (!isObject(platform)) return;
  for (const key of ["os", "architecture"]) {
    check(
      platform[key] === config[key],
      `${name}: the descriptor's ${key} is ${platform[key]}, the config's ${config[key]}`,
    );
  }
}

/** A docker archive's manifest.json (Docker image specification 1.2) names files that are there. */
function validateDockerManifest(directory: string, images: readonly ValidatedImage[]): void {
  const entries = JSON.parse(readFileSync(join(directory, "manifest.json"), "utf8")) as JsonObject[];
  check(entries.length === images.length, "manifest.json has another number of images than index.json");
  for (const entry of entries) {
    const image = images.find(({ manifest }) => blobName(manifest.config as JsonObject) === entry.Config);
    if (image === undefined) throw new Error(`manifest.json: no image has the config ${entry.Config}`);
    const layers = (image.manifest.layers as JsonObject[]).map(blobName);
    check(
      JSON.stringify(entry.Layers) === JSON.stringify(layers),
      "manifest.json has other layers than the manifest",
    );
    for (const tag of (entry.RepoTags ?? []) as string[]) {
      check(/^[^@\s]+:[\w][\w.-]{0,127}$/.test(tag), `manifest.json: "${tag}" is no NAME:TAG`);
    }
  }
}

function blobName({ digest }: JsonObject): string {
  return `blobs/sha256/${String(digest).slice("sha256:".length)}`;
}

function openBlobs(directories: readonly string[]): Blobs {
  return {
    read({ digest, size }, what) {
      check(
        typeof digest === "string" && /^sha256:[0-9a-f]{64}$/.test(digest),
        `${what}: "${digest}" is no digest`,
      );
      const paths = directories.map((directory) => join(directory, blobName({ digest })));
      const path = paths.find((one) => existsSync(one));
      if (path === undefined) throw new Error(`${what}: the blob ${digest} is missing`);
      const bytes = readFileSync(path);
      check(bytes.length === size, `${what}: it has ${bytes.length} bytes, its descriptor says ${size}`);
      check(
        sha256(bytes) === digest,
        `${what}: its digest is ${sha256(bytes)}, its descriptor says ${digest}`,
      );
      return bytes;
    },
  };
}

function inflate(bytes: Buffer, compression: string, name: string): Buffer {
  try {
    if (compression === "gzip") return gunzipSync(bytes);
    return compression === "zstd" ? zstdDecompressSync(bytes) : bytes;
  } catch (error) {
    throw new Error(`${name}: it is no ${compression}: ${(error as Error).message}`);
  }
}

function parseJson(bytes: Buffer, name: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    throw new Error(`${name} is no JSON`);
  }
  if (!isObject(value)) throw new Error(`${name} is no JSON object`);
  return value;
}

function asList(value: unknown, name: string): JsonObject[] {
  if (Array.isArray(value) && value.every(isObject)) return value;
  throw new Error(`${name} is no list of objects`);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function check(isRight: boolean, problem: string): void {
  if (!isRight) throw new Error(problem);
}
