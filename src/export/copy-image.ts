import { BuildError } from "../errors/build-error.ts";
import { choosePlatform, isImage } from "../oci/choose-platform.ts";
import { type Descriptor, isForeign } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { isIndexMediaType, isManifestMediaType } from "../oci/media-type.ts";
import { parseIndex, parseManifest } from "../oci/parse-documents.ts";
import { formatPlatform, type Platform } from "../oci/platform.ts";
import type { ImageReference } from "../oci/reference.ts";
import type { EventSink } from "../progress/event.ts";
import { failEvent } from "../progress/fail-event.ts";

/** A manifest or index as its owner wrote it, byte for byte, so that digests stay. */
export interface ImageDocument {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

/** Where an image is copied from. What it hands out is verified, a blob at its end. */
export interface CopySource {
  /** For messages. */
  readonly name: string;
  /** Where it is, if it is at a registry: another repository of the same may mount its blobs. */
  readonly reference?: ImageReference;
  /** The manifest or index that was asked for. */
  resolve(): Promise<ImageDocument>;
  /** A manifest or index that an index lists. */
  readManifest(descriptor: Descriptor): Promise<Uint8Array>;
  openBlob(descriptor: Descriptor, onProgress?: (doneBytes: number) => void): AsyncIterable<Uint8Array>;
  /** The manifests whose subject is the digest (signatures, SBOMs); absent where nobody keeps them. */
  listReferrers?(digest: Digest): Promise<readonly Descriptor[]>;
}

/** Where an image is copied to. */
export interface CopyTarget {
  /** False where an image for several platforms has no place. */
  readonly holdsIndexes?: false;
  writeBlob(
    descriptor: Descriptor,
    source: Pick<CopySource, "openBlob" | "reference">,
    onProgress: (doneBytes: number) => void,
  ): Promise<"existed" | "pushed">;
  /** One that an index lists. Its blobs are there. */
  writeManifest(document: ImageDocument): Promise<void>;
  /** The last thing: the image under its name. */
  writeRoot(document: ImageDocument): Promise<void>;
}

export interface CopyOptions {
  /** Only this one's manifest of an index; all of them, and the index, when absent. */
  readonly platform?: Platform;
  /** Also what refers to the image and its manifests, and what refers to that. */
  readonly withReferrers?: boolean;
  readonly emit: EventSink;
  readonly signal: AbortSignal;
}

/** How deep indexes may lie in each other. */
const INDEX_DEPTH_MAX = 4;
/** Blobs under way at the same time. */
const CONCURRENCY = 6;

/**
 * Copies an image with all that its manifest or index names: blobs first, then manifests, the name last, so that nobody sees half of it.
 * Layers pass as they are, and nothing is unpacked.
 *
 * @returns what the copy is: the source's descriptor, or that of the platform's manifest.
 * @throws BuildError `image-not-found`, `image-invalid`, `registry`, `unsupported`, `verification`, `output-failed`.
 */
export async function copyImage(
  source: CopySource,
  target: CopyTarget,
  options: CopyOptions,
): Promise<Descriptor> {
  const found = await source.resolve();
  const root =
    options.platform !== undefined
      ? await choose(source, found, options.platform)
      : target.holdsIndexes === false
        ? await chooseOnly(source, found)
        : found;
  if (target.holdsIndexes === false && isIndexMediaType(root.descriptor.mediaType)) {
    throw new BuildError(
      "unsupported",
      `Cannot copy "${source.name}" into a docker archive: it is an index over several images, which docker's format has not`,
      { hint: "Choose one with --platform, or copy to oci-archive:FILE" },
    );
  }
  const documents = new Map<Digest, ImageDocument>();
  await collectDocuments(source, root, { documents, depth: 0, signal: options.signal });
  if (options.withReferrers) await collectReferrers(source, documents, options.signal);
  const blobs = new Map<Digest, Descriptor>();
  for (const document of documents.values()) {
    for (const blob of listBlobs(document)) blobs.set(blob.digest, blob);
  }
  await forEachAtOnce([...blobs.values()], async (descriptor) => {
    options.signal.throwIfAborted();
    await reportCopy(descriptor, options, (onProgress) => target.writeBlob(descriptor, source, onProgress));
  });
  for (const document of documents.values()) {
    if (document !== root) await target.writeManifest(document);
  }
  await target.writeRoot(root);
  return root.descriptor;
}

/** Those that a document lists come before it. */
async function collectDocuments(
  source: CopySource,
  document: ImageDocument,
  state: {
    readonly documents: Map<Digest, ImageDocument>;
    readonly depth: number;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { documents, depth, signal } = state;
  if (depth > INDEX_DEPTH_MAX) {
    throw new BuildError(
      "image-invalid",
      `Cannot copy "${source.name}": its indexes lie more than ${INDEX_DEPTH_MAX} deep in each other`,
    );
  }
  if (documents.has(document.descriptor.digest)) return;
  if (isIndexMediaType(document.descriptor.mediaType)) {
    for (const descriptor of parseIndex(document.bytes, `Cannot copy "${source.name}"`).manifests) {
      signal.throwIfAborted();
      if (documents.has(descriptor.digest)) continue;
      const bytes = await source.readManifest(descriptor);
      await collectDocuments(source, { descriptor, bytes }, { ...state, depth: depth + 1 });
    }
  } else if (!isManifestMediaType(document.descriptor.mediaType)) {
    throw new BuildError(
      "image-invalid",
      `Cannot copy "${source.name}": it has a ${document.descriptor.mediaType}, which is neither an image nor an index`,
    );
  } else {
    parseManifest(document.bytes, `Cannot copy "${source.name}"`);
  }
  documents.set(document.descriptor.digest, document);
}

/** What is found joins the documents; referrers of referrers are looked for as deep as indexes may lie. */
async function collectReferrers(
  source: CopySource,
  documents: Map<Digest, ImageDocument>,
  signal: AbortSignal,
): Promise<void> {
  let subjects = [...documents.keys()];
  for (let depth = 0; depth < INDEX_DEPTH_MAX && subjects.length > 0; depth++) {
    const known = new Set(documents.keys());
    for (const subject of subjects) {
      for (const descriptor of (await source.listReferrers?.(subject)) ?? []) {
        if (documents.has(descriptor.digest)) continue;
        const bytes = await source.readManifest(descriptor);
        await collectDocuments(source, { descriptor, bytes }, { documents, depth, signal });
      }
    }
    subjects = [...documents.keys()].filter((digest) => !known.has(digest));
  }
}

/** The image of an index that has but one, beside its attestations; else what was given. */
async function chooseOnly(source: CopySource, document: ImageDocument): Promise<ImageDocument> {
  if (!isIndexMediaType(document.descriptor.mediaType)) return document;
  const { manifests } = parseIndex(document.bytes, `Cannot copy "${source.name}"`);
  const [descriptor, ...others] = manifests.filter(isImage);
  if (descriptor === undefined || others.length > 0) return document;
  return { descriptor, bytes: await source.readManifest(descriptor) };
}

async function choose(
  source: CopySource,
  document: ImageDocument,
  platform: Platform,
): Promise<ImageDocument> {
  if (!isIndexMediaType(document.descriptor.mediaType)) return document;
  const { manifests } = parseIndex(document.bytes, `Cannot copy "${source.name}"`);
  const descriptor = choosePlatform(manifests, platform);
  if (descriptor !== undefined) return { descriptor, bytes: await source.readManifest(descriptor) };
  throw new BuildError(
    "image-not-found",
    `Cannot copy "${source.name}" for ${formatPlatform(platform)}: it has no image for that platform`,
  );
}

function listBlobs(document: ImageDocument): readonly Descriptor[] {
  if (!isManifestMediaType(document.descriptor.mediaType)) return [];
  const { config, layers } = parseManifest(document.bytes, "Cannot copy the image");
  return [config, ...layers].filter((blob) => !isForeign(blob));
}

/** A failure ends all when those that are under way have ended. */
async function forEachAtOnce<Value>(
  values: readonly Value[],
  work: (value: Value) => Promise<void>,
): Promise<void> {
  const queue = values[Symbol.iterator]();
  let failure: { readonly error: unknown } | undefined;
  const workers = Array.from({ length: CONCURRENCY }, async () => {
    for (const value of queue) {
      if (failure !== undefined) break;
      try {
        await work(value);
      } catch (error) {
        failure ??= { error };
      }
    }
  });
  await Promise.all(workers);
  if (failure !== undefined) throw failure.error;
}

async function reportCopy(
  { digest, size }: Descriptor,
  { emit, signal }: CopyOptions,
  copy: (onProgress: (doneBytes: number) => void) => Promise<"existed" | "pushed">,
): Promise<void> {
  const id = `copy ${digest}`;
  const label = digest.slice(0, 19);
  emit({ kind: "start", time: Date.now(), id, name: `copy ${label}` });
  try {
    const outcome = await copy((doneBytes) =>
      emit({ kind: "progress", time: Date.now(), id, label, doneBytes, totalBytes: size }),
    );
    emit({ kind: "end", time: Date.now(), id, outcome: outcome === "existed" ? "cached" : "done" });
  } catch (error) {
    emit(failEvent(id, error, signal));
    throw error;
  }
}
