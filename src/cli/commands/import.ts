import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import { type InputLimits, makeLimitError } from "../../errors/input-limits.ts";
import { measureFile } from "../../export/measure-file.ts";
import { tagImage } from "../../export/tag-image.ts";
import { assembleImage } from "../../image/assemble-image.ts";
import type { ImageAccess } from "../../image/image-access.ts";
import type { Digest } from "../../oci/digest.ts";
import { MEDIA_TYPE } from "../../oci/media-type.ts";
import type { Platform } from "../../oci/platform.ts";
import { parseImageReference } from "../../oci/reference.ts";
import { storeWrittenLayer } from "../../rootfs/stored-layer.ts";
import { temporaryPath } from "../../store/blobs.ts";
import { applyChanges, CHANGES_FILE, changesText } from "../apply-changes.ts";
import type { CommandContext } from "../command-context.ts";
import { choosePlatform } from "../find-image.ts";
import { makeOption } from "../make-option.ts";
import { withSession } from "../with-session.ts";

interface ImportOptions {
  readonly change: readonly string[];
  readonly message?: string;
  readonly platform?: string;
}

export function defineImport(command: Command, context: CommandContext): void {
  command
    .argument("<file>", "a tar, plain or compressed with gzip, bzip2, xz or zstd, or its URL; - reads stdin")
    .argument("[name]", "NAME[:TAG] for the image")
    .usage("[OPTIONS] FILE|URL|- [NAME[:TAG]]")
    .addOption(
      makeOption("-c, --change <instruction>", 'like "ENV A=b", for the config', { isRepeatable: true }),
    )
    .addOption(makeOption("-m, --message <text>", "comment for the history"))
    .addOption(makeOption("--platform <platform>", "os/architecture[/variant]"))
    .action(async (file: string, name: string | undefined, options: ImportOptions) => {
      context.sources.set(CHANGES_FILE, changesText(options.change));
      const id = await withSession(context, ({ access }) =>
        importRoot(access, { file, name, options, context }),
      );
      context.stdout.write(`${id}\n`);
    });
}

interface Import {
  readonly file: string;
  readonly name: string | undefined;
  readonly options: ImportOptions;
  readonly context: CommandContext;
}

/** Makes the archive the only layer of a new image. What is wrong with the other arguments is told before it is read. */
async function importRoot(access: ImageAccess, { file, name, options, context }: Import): Promise<Digest> {
  const platform: Platform = choosePlatform(options.platform);
  const config = applyChanges(options.change, platform);
  if (name !== undefined) parseImageReference(name);
  await using archive = await openArchive(access, file, context);
  const { path, digest, size } = archive;
  const from = file === "-" ? "stdin" : file;
  const { layer, written } = await storeWrittenLayer(access.store, (layersDirectory) =>
    access.work.ingestLayer(
      { layersDirectory, mediaType: MEDIA_TYPE.ociLayer, digest, size, from, bytes: path },
      { signal: access.signal },
    ),
  );
  const comment = options.message ?? `Imported from ${file}`;
  const image = await assembleImage(access, {
    platform,
    config: { ...platform, config, rootfs: { type: "layers", diff_ids: [] }, history: [{ comment }] },
    layers: [
      {
        layerId: layer.id,
        diffId: written.diffId,
        created: Date.now(),
        load: async () => layer,
        findIndex: () => layer,
      },
    ],
  });
  await tagImage(access, image, { names: name === undefined ? [] : [name] });
  return image.configDigest;
}

interface Archive extends AsyncDisposable {
  readonly path: string;
  readonly digest: Digest;
  readonly size: number;
}

/** A file, what a URL has, or stdin, which is kept until it is disposed. */
async function openArchive(
  access: ImageAccess,
  file: string,
  { stdin, env }: CommandContext,
): Promise<Archive> {
  const { store, limits, signal } = access;
  if (/^https?:\/\//.test(file)) return downloadArchive(access, file, env);
  const spool = file === "-" ? temporaryPath(store) : undefined;
  const dispose = async () => {
    if (spool !== undefined) await rm(spool, { force: true });
  };
  try {
    if (spool !== undefined) {
      await pipeline(stdin, limitSize(limits), createWriteStream(spool, { flags: "wx", mode: 0o600 }), {
        signal,
      });
    }
    const path = spool ?? file;
    return { path, ...(await measureFile(path, signal)), [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function downloadArchive(
  access: ImageAccess,
  url: string,
  environment: CommandContext["env"],
): Promise<Archive> {
  const { store, limits, signal } = access;
  const { download } = await import("../../context/download.ts");
  const { HttpConnections } = await import("../../registry/http-connections.ts");
  await using connections = new HttpConnections(environment);
  const context = { store, connections, limits, secrets: new Map() };
  const found = await download(context, { url, signal });
  return {
    path: found.filePath,
    digest: found.digest,
    size: found.sizeBytes,
    async [Symbol.asyncDispose]() {},
  };
}

/** A pipe has no size that could be asked for before. */
function limitSize(limits: InputLimits) {
  return async function* (chunks: AsyncIterable<Uint8Array>) {
    let size = 0;
    for await (const chunk of chunks) {
      size += chunk.length;
      if (size > limits["download-size"]) {
        throw makeLimitError("download-size", "Cannot import from stdin: it is larger", limits);
      }
      yield chunk;
    }
  };
}
