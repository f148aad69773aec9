import { existsSync } from "node:fs";
import { join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import { type InputLimits, makeLimitError } from "../errors/input-limits.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import { parseImageConfig } from "../oci/parse-documents.ts";
import { cleanPath } from "../rootfs/rootfs-path.ts";
import { readFileWithin } from "./read-file-within.ts";

/** An image of a docker archive, whose layers are files of the directory that it was unpacked to. */
export interface DockerArchiveImage {
  /** Its digest is the image's id. */
  readonly configBytes: Uint8Array;
  readonly config: ImageConfig;
  /** `NAME:TAG`, as docker wrote them. */
  readonly names: readonly string[];
  /** One for each diff ID of the config, bottom first; mostly tars without compression. */
  readonly layerPaths: readonly string[];
}

/** Where an archive was unpacked to, and what messages call it. */
export interface UnpackedArchive {
  readonly directory: string;
  readonly name: string;
  readonly limits: InputLimits;
}

/** An entry of manifest.json (Docker image specification 1.2, "Combined Image JSON + Filesystem Changeset Format"). */
interface DockerEntry {
  readonly Config: string;
  readonly RepoTags?: readonly string[] | null;
  readonly Layers: readonly string[];
}

/**
 * Reads what `docker save` writes since 1.10, and others do for it.
 *
 * @throws BuildError `image-invalid`, `input-limit`.
 */
export async function readDockerArchive(archive: UnpackedArchive): Promise<DockerArchiveImage[]> {
  const { directory } = archive;
  if (!existsSync(join(directory, "manifest.json"))) {
    throw refuse(
      archive,
      existsSync(join(directory, "repositories"))
        ? "it is of a docker before 1.10, which had no configs that can be verified"
        : "it has no manifest.json",
    );
  }
  const images: DockerArchiveImage[] = [];
  for (const { Config, RepoTags, Layers } of await readEntries(archive)) {
    const configBytes = await readMember(archive, Config, "config-size");
    const config = parseImageConfig(configBytes, startOf(archive));
    if (config.rootfs.diff_ids.length !== Layers.length) {
      throw refuse(archive, `its ${Config} lists other layers than manifest.json`);
    }
    const layerPaths = Layers.map((layer) => join(directory, cleanPath(layer)));
    images.push({ configBytes, config, names: RepoTags ?? [], layerPaths });
  }
  return images;
}

async function readEntries(archive: UnpackedArchive): Promise<readonly DockerEntry[]> {
  const bytes = await readMember(archive, "manifest.json", "manifest-size");
  let entries: unknown;
  try {
    entries = JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw refuse(archive, "its manifest.json is no JSON", error);
  }
  if (!Array.isArray(entries)) throw refuse(archive, "its manifest.json is no list");
  if (!entries.every(isEntry)) {
    throw refuse(archive, "its manifest.json has an image without config or layers");
  }
  return entries;
}

function isEntry(value: unknown): value is DockerEntry {
  const isTexts = (list: unknown) => Array.isArray(list) && list.every((text) => typeof text === "string");
  const { Config, RepoTags, Layers } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return typeof Config === "string" && isTexts(Layers) && isTexts(RepoTags ?? []);
}

async function readMember(
  archive: UnpackedArchive,
  name: string,
  limit: "manifest-size" | "config-size",
): Promise<Buffer> {
  const { directory, limits } = archive;
  const refuseSize = () =>
    makeLimitError(limit, `Cannot use "${archive.name}": its ${name} is larger`, limits);
  try {
    return await readFileWithin(join(directory, cleanPath(name)), refuseSize, limits[limit]);
  } catch (error) {
    if (error instanceof BuildError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw refuse(archive, `its ${name} cannot be read: ${code ?? message}`, error);
  }
}

function startOf({ name }: UnpackedArchive): string {
  return `Cannot use the docker archive "${name}"`;
}

function refuse(archive: UnpackedArchive, what: string, cause?: unknown): BuildError {
  return new BuildError("image-invalid", `${startOf(archive)}: ${what}`, { cause });
}
