import { createHash, randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { BuildError } from "../errors/build-error.ts";
import { DEFAULT_LIMITS, type InputLimits } from "../errors/input-limits.ts";
import { type OciLayout, readOciLayout } from "../image/open-oci-layout.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { digestHex, isDigest } from "../oci/digest.ts";
import type { ImageIndex } from "../oci/manifest.ts";
import type { CopySource, CopyTarget } from "./copy-image.ts";

const REF_NAME = "org.opencontainers.image.ref.name";

/** An OCI image layout in a directory (image spec 1.1, image-layout.md). */
interface LayoutPlace {
  readonly directory: string;
  readonly tag?: string;
  readonly limits?: InputLimits;
  readonly signal: AbortSignal;
}

/** @throws BuildError `image-not-found` when the layout has no such image. */
export async function copyFromLayout({
  directory,
  tag,
  limits = DEFAULT_LIMITS,
}: LayoutPlace): Promise<CopySource> {
  const layout = await readOciLayout({ directory, selector: tag, limits });
  return {
    name: layout.name,
    async resolve() {
      // The entry's annotations are the layout's name for it.
      const { annotations: _, ...descriptor } = layout.root;
      return { descriptor, bytes: await layout.read(descriptor) };
    },
    readManifest: layout.read,
    openBlob: (descriptor, onProgress) => verify(layout, descriptor, onProgress),
  };
}

async function* verify(
  layout: OciLayout,
  descriptor: Descriptor,
  onProgress?: (doneBytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  let size = 0;
  const refuse = (what: string, cause?: unknown) =>
    new BuildError(
      "verification",
      `Cannot use the blob "${descriptor.digest}" of "${layout.name}": ${what}`,
      {
        cause,
      },
    );
  try {
    for await (const chunk of layout.openBlob(descriptor) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      size += chunk.length;
      if (size > descriptor.size) break;
      yield chunk;
      onProgress?.(size);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw refuse(code === "ENOENT" ? "it is not there" : code, error);
  }
  if (size !== descriptor.size) throw refuse(`it does not have ${descriptor.size} bytes`);
  if (`sha256:${hash.digest("hex")}` !== descriptor.digest) throw refuse("its bytes have another digest");
}

/** What else the layout has stays; an image of the same tag is replaced. */
export async function copyToLayout({ directory, tag, signal }: LayoutPlace): Promise<CopyTarget> {
  await mkdir(join(directory, "blobs/sha256"), { recursive: true });
  const pathOf = ({ digest }: Descriptor) => {
    if (isDigest(digest)) return join(directory, "blobs/sha256", digestHex(digest));
    throw new BuildError("image-invalid", `Cannot write to "${directory}": "${digest}" is no digest`);
  };
  const writeManifest: CopyTarget["writeManifest"] = ({ descriptor, bytes }) =>
    writeWhole(pathOf(descriptor), (path) => writeFile(path, bytes, { flag: "wx" }));
  return {
    async writeBlob(descriptor, source, onProgress) {
      const path = pathOf(descriptor);
      // Blobs appear whole or not at all; one of another size is somebody's accident.
      if ((await stat(path).catch(() => undefined))?.size === descriptor.size) return "existed";
      await writeWhole(path, (temporary) =>
        pipeline(source.openBlob(descriptor, onProgress), createWriteStream(temporary, { flags: "wx" }), {
          signal,
        }),
      );
      return "pushed";
    },
    writeManifest,
    async writeRoot(document) {
      await writeManifest(document);
      await writeFile(join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
      const path = join(directory, "index.json");
      const index = addImage(await readIndex(path), document.descriptor, tag);
      await writeWhole(path, (temporary) => writeFile(temporary, JSON.stringify(index), { flag: "wx" }));
    },
  };
}

async function readIndex(path: string): Promise<ImageIndex> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    return { schemaVersion: 2, manifests: [] };
  }
  try {
    return JSON.parse(text) as ImageIndex;
  } catch (error) {
    throw new BuildError("output-failed", `Cannot write to "${path}": what is there is no JSON`, {
      cause: error,
    });
  }
}

function addImage(index: ImageIndex, descriptor: Descriptor, tag: string | undefined): ImageIndex {
  const others = (index.manifests ?? []).filter((entry) => {
    const name = entry.annotations?.[REF_NAME];
    return tag === undefined ? name !== undefined || entry.digest !== descriptor.digest : name !== tag;
  });
  const entry = tag === undefined ? descriptor : { ...descriptor, annotations: { [REF_NAME]: tag } };
  return { ...index, manifests: [...others, entry] };
}

async function writeWhole(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await write(temporary);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}
