import type { InputLimits } from "../errors/input-limits.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import type { Platform } from "../oci/platform.ts";
import type { EventSink } from "../progress/event.ts";
import type { RegistryClient } from "../registry/registry-client.ts";
import type { Layer } from "../rootfs/layer.ts";
import type { LayerWork } from "../rootfs/layer-work.ts";
import type { Store } from "../store/open-store.ts";

/** What reading and writing images takes. One for each command; `layersUnderWay` makes its users share downloads. */
export interface ImageAccess {
  readonly store: Store;
  readonly work: LayerWork;
  /**
   * Made when it is first needed, for most builds need no registry. `insecure`: one that talks to any registry over plain HTTP or with
   * a certificate that nobody signed.
   */
  readonly openRegistry: (options?: { readonly insecure?: boolean }) => Promise<RegistryClient>;
  readonly emit: EventSink;
  readonly signal: AbortSignal;
  readonly limits: InputLimits;
  readonly layersUnderWay: Map<Digest, Promise<Layer>>;
}

/** An image whose manifest and config are known; its layers come when somebody asks. */
export interface ResolvedImage {
  /** As messages name it: the full reference, or where the layout is. */
  readonly name: string;
  readonly platform: Platform;
  readonly config: ImageConfig;
  readonly configDigest: Digest;
  /** Bottom first, one for each diff ID of the config. */
  readonly layers: readonly LazyLayer[];
}

/** A layer of a root file system, fetched or unpacked at most once, when `load` is called. */
export interface LazyLayer {
  /** Of the uncompressed tar; unknown for what a RUN made until it is packed. */
  readonly diffId?: Digest;
  /** The layer's name in the store; known for what a step made. */
  readonly layerId?: string;
  /** When the step that made it ran, in milliseconds since 1970; unknown for layers of a base image. */
  readonly created?: number;
  /** The stage whose step made it, by name or number; unknown for layers of a base image. */
  readonly stage?: string;
  /** The form in which its image's manifest, or the cache that it was imported from, has it. */
  readonly blob?: Descriptor;
  /** How hard an imported cache's blob was compressed; the usual level when absent. */
  readonly blobLevel?: number;
  /** A step has to run for it: nobody has its files. */
  readonly mustBeMade?: true;
  load(): Promise<Layer>;
  /** The layer's index where it is here already; then its bytes need not be (indexes outlive blobs). */
  findIndex(): Layer | undefined;
  /** Brings the index, and of the bytes no more than `blob`; for an image whose files no step of the build reads. */
  loadIndex?(): Promise<Layer>;
  /** Brings `blob` into the store; only where it is or can be had. */
  fetchBlob?(): Promise<void>;
}
