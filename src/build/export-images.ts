import { EarlyUploads } from "../export/early-uploads.ts";
import type { EngineAddress } from "../export/engine-address.ts";
import { pushImage } from "../export/push-image.ts";
import { keepReachable, tagImage } from "../export/tag-image.ts";
import {
  type LayoutOptions,
  writeLayoutArchive,
  writeLayoutDirectory,
  writeLayoutFile,
} from "../export/write-layout.ts";
import { writeTreesTar, writeTreesTo } from "../export/write-trees.ts";
import {
  type AssembledImage,
  type AssembleOptions,
  assembleImage,
  type BuiltImage,
  type ManifestOptions,
  type WrittenManifest,
  writeIndexOrManifest,
  writeManifest,
} from "../image/assemble-image.ts";
import { type Attestation, writeAttestations } from "../image/attestations.ts";
import type { ImageAccess } from "../image/image-access.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { type ImageReference, parseImageReference } from "../oci/reference.ts";
import type { ArchiveOutput, BuildOutput, ImageForm, ImageOutput } from "./build-output.ts";

/** An image with the target that it is of. */
export interface BuiltTarget extends BuiltImage {
  readonly target: string;
}

export interface ExportOptions {
  readonly outputs: readonly BuildOutput[];
  /** Names of the first target. */
  readonly tags: readonly string[];
  /** What SOURCE_DATE_EPOCH comes to, in seconds since 1970. */
  readonly epochSeconds?: number;
  readonly squash?: AssembleOptions["squash"];
  readonly addKeys?: AssembleOptions["addKeys"];
  /** What is said about each image, beside it in an index. */
  readonly attestations?: readonly Attestation[];
  /** Write manifests of the first target also where no output needs them. */
  readonly wantManifests?: boolean;
}

export interface ExportResult {
  /** In the order of what was built. */
  readonly images: readonly AssembledImage[];
  /** Of the last output that needed them, in the order of its images. */
  readonly manifests: readonly WrittenManifest[];
  /** What a name stands for: the manifest, or the index over several. */
  readonly root?: Descriptor;
}

/**
 * Sends the images to every output. Everything that can fail comes before the tags of the store change.
 *
 * @throws BuildError.
 */
export async function exportImages(
  access: ImageAccess,
  built: readonly BuiltTarget[],
  options: ExportOptions,
): Promise<ExportResult> {
  const exporter = new Exporter(access, built, options);
  for (const output of options.outputs) await exporter.export(output);
  return exporter.finish();
}

type ImageLike = ImageOutput | ArchiveOutput;

class Exporter {
  readonly #access: ImageAccess;
  readonly #built: readonly BuiltTarget[];
  readonly #options: ExportOptions;
  readonly #first: string;
  /** Outputs that want the same image share it. */
  readonly #assembled = new Map<string, Promise<AssembledImage[]>>();
  readonly #tagging: (() => Promise<void>)[] = [];
  #images: AssembledImage[] | undefined;
  #manifests: readonly WrittenManifest[] = [];
  #root: Descriptor | undefined;

  constructor(access: ImageAccess, built: readonly BuiltTarget[], options: ExportOptions) {
    this.#access = access;
    this.#built = built;
    this.#options = options;
    this.#first = built[0]!.target;
  }

  async export(output: BuildOutput): Promise<void> {
    switch (output.type) {
      case "cacheonly":
        return;
      case "local":
      case "tar": {
        const images = this.#select(output.target);
        const epochSeconds = this.#epochOf(output);
        this.#tellWithoutAttestations(output);
        if (output.type === "local") await writeTreesTo(this.#access, images, { ...output, epochSeconds });
        else await writeTreesTar(this.#access, images, { ...output, epochSeconds });
        return;
      }
      case "image":
      case "oci":
      case "docker":
        await this.#exportImage(output, output.target);
    }
  }

  async finish(): Promise<ExportResult> {
    const { wantManifests } = this.#options;
    if (wantManifests && this.#root === undefined) {
      const unpushed = this.#options.outputs.find(
        (output): output is ImageOutput => output.type === "image" && this.#isFirst(output.target),
      );
      await this.#writeManifests(unpushed ?? { type: "image", names: [], push: false }, undefined);
    }
    const images = await this.#assembleAll();
    for (const tag of this.#tagging) await tag();
    return {
      images,
      manifests: this.#manifests,
      ...(this.#root && { root: this.#root }),
    };
  }

  /** As the outputs have them; those of targets without an output as they are. */
  async #assembleAll(): Promise<AssembledImage[]> {
    const first = this.#images ?? (await this.#assemble(this.#first, { names: [] }));
    const rest = [...new Set(this.#built.map(({ target }) => target))].filter((one) => one !== this.#first);
    const others = await Promise.all(rest.map((target) => this.#assemble(target, { names: [] })));
    return [...first, ...others.flat()];
  }

  #select(target = this.#first): readonly BuiltTarget[] {
    return this.#built.filter((image) => image.target === target.toLowerCase());
  }

  #isFirst(target: string | undefined): boolean {
    return target === undefined || target.toLowerCase() === this.#first;
  }

  #epochOf({ sourceDateEpoch }: Pick<ImageForm, "sourceDateEpoch">): number | undefined {
    return sourceDateEpoch ?? this.#options.epochSeconds;
  }

  #assemble(target: string, form: ImageForm): Promise<AssembledImage[]> {
    const options: AssembleOptions = {
      epochSeconds: this.#epochOf(form),
      rewriteTimes: form.rewriteTimestamp,
      squash: this.#options.squash,
      addKeys: this.#options.addKeys,
    };
    const key = JSON.stringify([target, options]);
    let images = this.#assembled.get(key);
    if (images === undefined) {
      images = Promise.all(this.#select(target).map((image) => assembleImage(this.#access, image, options)));
      this.#assembled.set(key, images);
    }
    return images;
  }

  async #writeManifests(output: ImageLike, target: string | undefined, follow?: ManifestOptions["follow"]) {
    const images = await this.#assemble(target ?? this.#first, output);
    const options = { ...manifestOptions(output), follow };
    const manifests = await Promise.all(images.map((image) => writeManifest(this.#access, image, options)));
    const said = await this.#writeAttestations(output, manifests);
    const root = await writeIndexOrManifest(this.#access, [...manifests, ...said], options);
    if ((target ?? this.#first) === this.#first) {
      this.#manifests = manifests;
      this.#root = root;
      this.#images = images;
    }
    return { images, manifests: [...manifests, ...said], root, options };
  }

  #tellWithoutAttestations({ type }: BuildOutput): void {
    if (this.#options.attestations === undefined) return;
    const message = `the output of type ${type} has no place for attestations: they are left out`;
    this.#access.emit({ kind: "note", time: Date.now(), message });
  }

  /** Files and docker's archives have no place for them. */
  async #writeAttestations(
    output: ImageLike,
    manifests: readonly WrittenManifest[],
  ): Promise<readonly WrittenManifest[]> {
    const { attestations = [], tags } = this.#options;
    if (attestations.length === 0) return [];
    if (output.type === "docker") {
      this.#tellWithoutAttestations(output);
      return [];
    }
    const names = [...new Set([...tags, ...output.names])].map(parseImageReference);
    return Promise.all(
      manifests.map((manifest) => writeAttestations(this.#access.store, { manifest, names }, attestations)),
    );
  }

  async #exportImage(output: ImageLike, target: string | undefined): Promise<void> {
    const isFirst = this.#isFirst(target);
    const texts = [...new Set([...(isFirst ? this.#options.tags : []), ...output.names])];
    const names = texts.map(parseImageReference);
    if (output.type !== "image") {
      const written = await this.#writeManifests(output, target);
      await this.#writeLayout(output, { ...written, names });
      return;
    }
    let targetDigest: Digest | undefined;
    if (output.push) {
      const { insecure, pushByDigest: byDigest } = output;
      // To the first place; the others may well be able to mount from there.
      const [reference] = names;
      await using early = reference && new EarlyUploads(this.#access, { reference, insecure });
      const { root, manifests } = await this.#writeManifests(output, target, early?.follow);
      for (const name of names) {
        const own = name === reference ? early : undefined;
        await pushImage(this.#access, name, { root, manifests, insecure, byDigest, early: own });
      }
      targetDigest = root.digest;
    }
    const images = await this.#assemble(target ?? this.#first, output);
    if (isFirst) this.#images ??= images;
    if (output.store ?? true) {
      const tagged = output.pushByDigest ? [] : texts;
      await Promise.all(images.map((image) => keepReachable(this.#access, image)));
      this.#tagging.push(async () => {
        for (const image of images) await tagImage(this.#access, image, { names: tagged, targetDigest });
      });
    }
  }

  async #writeLayout(
    output: ArchiveOutput,
    written: {
      readonly images: readonly AssembledImage[];
      readonly manifests: readonly WrittenManifest[];
      readonly root: Descriptor;
      readonly names: readonly ImageReference[];
    },
  ): Promise<void> {
    const { images, root, manifests, names } = written;
    const isDocker = output.type === "docker";
    const layout: LayoutOptions = {
      images: [{ root, manifests, names }],
      forDocker: isDocker,
      created: images[0]!.config.created,
    };
    const { dest } = output;
    if (isEngine(dest)) {
      // Node's HTTP takes a while to load, and few builds need it.
      const { loadIntoEngine } = await import("../export/load-into-engine.ts");
      await loadIntoEngine(this.#access, dest, layout);
    } else if (typeof dest !== "string") await writeLayoutArchive(this.#access, dest, layout);
    else if (output.tar) await writeLayoutFile(this.#access, dest, layout);
    else await writeLayoutDirectory(this.#access, dest, layout);
  }
}

function isEngine(dest: ArchiveOutput["dest"]): dest is EngineAddress {
  return typeof dest !== "string" && "target" in dest;
}

/** A manifest of Docker's has no annotations, and no layer that every docker takes in zstd. */
function manifestOptions(output: ImageLike): ManifestOptions {
  const { compression = "gzip", compressionLevel, forceCompression, annotations } = output;
  const needsOci = compression === "zstd" || (annotations?.length ?? 0) > 0;
  return {
    compression,
    level: compressionLevel,
    force: forceCompression,
    dockerTypes: !needsOci && !(output.ociMediaTypes ?? output.type !== "docker"),
    annotations,
  };
}
