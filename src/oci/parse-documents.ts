import { BuildError } from "../errors/build-error.ts";
import type { Descriptor } from "./descriptor.ts";
import { isDigest } from "./digest.ts";
import type { ContainerConfig, ImageConfig } from "./image-config.ts";
import type { ImageIndex, Manifest } from "./manifest.ts";
import { isIndexMediaType, isManifestMediaType } from "./media-type.ts";

/*
 * From bytes that a stranger wrote to documents whose every field that slipway reads has the type that it should have. As in docker, whose decoder
 * refuses other types, `null` stands for a field that is not there. `action` begins the messages: `Cannot use "a:1"`.
 */

/**
 * A manifest. One that could be read as an index, too, is refused: another client would see another image under the same digest
 * (OCI image spec 1.0.2, manifest.md; CVE-2021-41190).
 *
 * @throws BuildError `image-invalid`.
 */
export function parseManifest(bytes: Uint8Array, action: string): Manifest {
  const manifest = parseObject(bytes, action);
  if (isPresent(manifest.manifests) || isMediaType(manifest, isIndexMediaType)) {
    throw invalid(action, "its manifest is an index and an image at the same time");
  }
  if (!isRecord(manifest.config) || !Array.isArray(manifest.layers)) {
    throw invalid(action, "its manifest has no config or no layers");
  }
  for (const descriptor of [manifest.config, ...manifest.layers]) checkDescriptor(descriptor, action);
  return manifest as unknown as Manifest;
}

/** An index. One that could be read as a manifest, too, is refused, as above. @throws BuildError `image-invalid`. */
export function parseIndex(bytes: Uint8Array, action: string): ImageIndex {
  const index = parseObject(bytes, action);
  const { manifests } = index;
  if (isPresent(index.layers) || isPresent(index.config) || isMediaType(index, isManifestMediaType)) {
    throw invalid(action, "its manifest is an index and an image at the same time");
  }
  if (!Array.isArray(manifests)) throw invalid(action, "its index has no list of manifests");
  for (const descriptor of manifests) checkDescriptor(descriptor, action);
  return index as unknown as ImageIndex;
}

/** An image's config; one that does not name its platform is for linux/amd64, as docker takes it. @throws BuildError `image-invalid`. */
export function parseImageConfig(bytes: Uint8Array, action: string): ImageConfig {
  const { rootfs, ...config } = parseObject(bytes, action);
  checkFields(config, CONFIG_FIELDS, { action, where: "" });
  if (isRecord(config.config)) {
    checkFields(config.config, CONTAINER_FIELDS, { action, where: "config." });
    const { Healthcheck: healthcheck } = config.config;
    if (isRecord(healthcheck))
      checkFields(healthcheck, HEALTHCHECK_FIELDS, { action, where: "config.Healthcheck." });
  }
  for (const entry of (config.history ?? []) as readonly Fields[]) {
    checkFields(entry, HISTORY_FIELDS, { action, where: "history." });
  }
  const diffIds = isRecord(rootfs) ? rootfs.diff_ids : undefined;
  if (!Array.isArray(diffIds) || !diffIds.every((diffId) => typeof diffId === "string" && isDigest(diffId))) {
    throw invalid(action, "its config lists no layers", "It may be an artifact that is no container image");
  }
  const { os, architecture } = config;
  return {
    ...config,
    os: os ?? "linux",
    architecture: architecture ?? "amd64",
    rootfs,
  } as unknown as ImageConfig;
}

type Fields = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === "string";
const isNumber: Check = (value) => typeof value === "number";
const isFlag: Check = (value) => typeof value === "boolean";
const isTexts: Check = (value) => Array.isArray(value) && value.every(isText);
const isTextRecord: Check = (value) => isRecord(value) && Object.values(value).every(isText);

const CONFIG_FIELDS = {
  created: isText,
  author: isText,
  architecture: isText,
  os: isText,
  variant: isText,
  "os.version": isText,
  "os.features": isTexts,
  config: isRecord,
  history: (value) => Array.isArray(value) && value.every(isRecord),
} satisfies Partial<Record<keyof ImageConfig, Check>>;

const CONTAINER_FIELDS = {
  User: isText,
  ExposedPorts: isRecord,
  Env: isTexts,
  Entrypoint: isTexts,
  Cmd: isTexts,
  Volumes: isRecord,
  WorkingDir: isText,
  Labels: isTextRecord,
  StopSignal: isText,
  StopTimeout: isNumber,
  Healthcheck: isRecord,
  Shell: isTexts,
  OnBuild: isTexts,
  ArgsEscaped: isFlag,
} satisfies Record<keyof ContainerConfig, Check>;

const HEALTHCHECK_FIELDS = {
  Test: isTexts,
  Interval: isNumber,
  Timeout: isNumber,
  StartPeriod: isNumber,
  StartInterval: isNumber,
  Retries: isNumber,
};

const HISTORY_FIELDS = {
  created: isText,
  created_by: isText,
  comment: isText,
  author: isText,
  empty_layer: isFlag,
};

const PLATFORM_FIELDS = {
  os: isText,
  architecture: isText,
  variant: isText,
  "os.version": isText,
  "os.features": isTexts,
};

function checkFields(
  fields: Fields,
  checks: Readonly<Record<string, Check>>,
  { action, where }: { readonly action: string; readonly where: string },
): void {
  for (const [key, check] of Object.entries(checks)) {
    if (isPresent(fields[key]) && !check(fields[key])) {
      throw invalid(action, `"${where}${key}" of its config has the wrong type`);
    }
  }
}

/** Digests name files and addresses, so one that is none must come no further. */
function checkDescriptor(value: unknown, action: string): asserts value is Descriptor {
  const { digest, mediaType, size, urls, annotations, platform } = isRecord(value) ? value : ({} as Fields);
  if (typeof digest !== "string" || !isDigest(digest)) {
    const text = typeof digest === "string" ? `"${digest.slice(0, 100)}"` : "what it names a part by";
    throw invalid(action, `${text} is no digest`, "A digest is sha256: and 64 hex digits");
  }
  const isRight =
    typeof mediaType === "string" &&
    Number.isSafeInteger(size) &&
    (size as number) >= 0 &&
    (urls === undefined || isTexts(urls)) &&
    (!isPresent(annotations) || isTextRecord(annotations)) &&
    (platform === undefined || isPlatform(platform));
  if (!isRight) throw invalid(action, `what it says about ${digest} is wrong or not complete`);
}

function isPlatform(value: unknown): boolean {
  if (!isRecord(value) || !isText(value.os) || !isText(value.architecture)) return false;
  return Object.entries(PLATFORM_FIELDS).every(([key, check]) => !isPresent(value[key]) || check(value[key]));
}

function isMediaType(document: Fields, isOf: (mediaType: string) => boolean): boolean {
  return typeof document.mediaType === "string" && isOf(document.mediaType);
}

function parseObject(bytes: Uint8Array, action: string): Fields {
  try {
    const value: unknown = JSON.parse(
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8"),
    );
    if (isRecord(value)) return value;
  } catch {
    // Said below, in the same words as for a document that is no object.
  }
  throw invalid(action, "one of its documents is not a JSON object");
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(action: string, what: string, hint?: string): BuildError {
  return new BuildError("image-invalid", `${action}: ${what}`, { hint });
}
