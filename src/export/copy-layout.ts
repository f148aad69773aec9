import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { BuildError } from "../errors/build-error.ts";
import { explainWrite } from "../errors/explain-write.ts";
import { DEFAULT_LIMITS, type InputLimits } from "../errors/input-limits.ts";
import { readOciLayout } from "../image/open-oci-layout.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { digestHex, isDigest } from "../oci/digest.ts";
import type { ImageIndex } from "../oci/manifest.ts";
import { formatImageReference, type ImageReference } from "../oci/reference.ts";
import type { CopySource, CopyTarget } from "./copy-image.ts";
import { writeWhole } from "./write-whole.ts";

const REF_NAME = "org.opencontainers.image.ref.name";

/** An OCI image layout in a directory (image spec 1.1, image-layout.md). */
interface LayoutPlace {
  readonly directory: string;
  readonly tag?: string;
  readonly limits?: InputLimits;
  readonly signal: AbortSignal;
}

/**
 * @param place `messageName`: what messages call it; the directory when absent.
 * @throws BuildError `image-not-found` when the layout has no such image.
 */
export async function copyFromLayout({
  directory,
  tag,
  messageName,
  limits = DEFAULT_LIMITS,
}: LayoutPlace & { readonly messageName?: string }): Promise<CopySource> {
  const layout = await readOciLayout({ directory, selector: tag, limits });
  const name = messageName ?? layout.name;
  return {
    name,
    async resolve() {
      // The entry's annotations are the layout's name for it.
      const { annotations: _, ...descriptor } = layout.root;
      return { descriptor, bytes: await layout.read(descriptor) };
    },
    readManifest: layout.read,
    openBlob: (descriptor, onProgress) =>
      verifyBlob(layout.openBlob(descriptor), { descriptor, name, onProgress }),
  };
}

interface BlobToVerify {
  readonly descriptor: Descriptor;
  /** Of the image, for messages. */
  readonly name: string;
  readonly onProgress?: (doneBytes: number) => void;
}

/** Passes a blob's bytes on; throws `verification` at the end unless size and digest are the descriptor's. */
export async function* verifyBlob(
  bytes: AsyncIterable<Uint8Array>,
  { descriptor, name, onProgress }: BlobToVerify,
): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  let size = 0;
  const refuse = (what: string, cause?: unknown) =>
    new BuildError("verification", `Cannot use the blob "${descriptor.digest}" of "${name}": ${what}`, {
      cause,
    });
  try {
    for await (const chunk of bytes) {
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

/**
 * What else the layout has stays, unless it is `reset`; an image of the same tag is replaced.
 *
 * @param place `name`: stands in the layout beside its tag, as containerd and docker look for it.
 */
export async function copyToLayout(
  place: Omit<LayoutPlace, "limits"> & { readonly name?: ImageReference; readonly reset?: boolean },
): Promise<CopyTarget> {
  const { directory, name, tag = name?.tag, reset = false, signal } = place;
  await explainWrite(directory, () => mkdir(join(directory, "blobs/sha256"), { recursive: true }));
  const pathOf = ({ digest }: Descriptor) => {
    if (isDigest(digest)) return join(directory, "blobs/sha256", digestHex(digest));
    throw new BuildError("image-invalid", `Cannot write to "${directory}": "${digest}" is no digest`);
  };
  const written = new Set<string>();
  const writeManifest: CopyTarget["writeManifest"] = async ({ descriptor, bytes }) => {
    written.add(digestHex(descriptor.digest));
    await writeWhole(pathOf(descriptor), (path) => writeFile(path, bytes));
  };
  return {
    async writeBlob(descriptor, source, onProgress) {
      const path = pathOf(descriptor);
      written.add(digestHex(descriptor.digest));
      // Blobs appear whole or not at all; one of another size is somebody's accident.
      if ((await stat(path).catch(() => undefined))?.size === descriptor.size) return "existed";
      await writeWhole(path, (temporary) =>
        pipeline(
          source.openBlob(descriptor, onProgress),
          // Room for many pieces, which then are written with one call.
          createWriteStream(temporary, { highWaterMark: 1 << 20 }),
          { signal },
        ),
      );
      return "pushed";
    },
    writeManifest,
    async writeRoot(document) {
      await writeManifest(document);
      await writeFile(join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
      const path = join(directory, "index.json");
      const before = reset ? EMPTY_INDEX : await readIndex(path);
      const index = addImage(before, nameRoot(document.descriptor, { tag, name }));
      await writeWhole(path, (temporary) => writeFile(temporary, JSON.stringify(index)));
      if (reset) await removeOthers(join(directory, "blobs/sha256"), written);
    },
  };
}

const EMPTY_INDEX: ImageIndex = { schemaVersion: 2, manifests: [] };

async function removeOthers(directory: string, kept: ReadonlySet<string>): Promise<void> {
  const others = (await readdir(directory)).filter((name) => !kept.has(name));
  await Promise.all(others.map((name) => rm(join(directory, name))));
}

async function readIndex(path: string): Promise<ImageIndex> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    return EMPTY_INDEX;
  }
  try {
    return JSON.parse(text) as ImageIndex;
  } catch (error) {
    throw new BuildError("output-failed", `Cannot write to "${path}": what is there is no JSON`, {
      cause: error,
    });
  }
}

function nameRoot(
  descriptor: Descriptor,
  { tag, name }: { readonly tag: string | undefined; readonly name: ImageReference | undefined },
): Descriptor {
  if (tag === undefined) return descriptor;
  const full = name && { "io.containerd.image.name": formatImageReference(name) };
  return { ...descriptor, annotations: { [REF_NAME]: tag, ...full } };
}

function addImage(index: ImageIndex, entry: Descriptor): ImageIndex {
  const tag = entry.annotations?.[REF_NAME];
  const others = (index.manifests ?? []).filter(({ annotations, digest }) => {
    const name = annotations?.[REF_NAME];
    return tag === undefined ? name !== undefined || digest !== entry.digest : name !== tag;
  });
  return { ...index, manifests: [...others, entry] };
}
