import type { Squash } from "../image/change-layers.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { PlanOptions } from "../plan/plan.ts";
import type { CacheSource, CacheTarget } from "../remote-cache/cache-places.ts";
import type { SolveOptions } from "../solve/solve-plan.ts";
import type { BuildOutput } from "./build-output.ts";
import type { SessionOptions } from "./open-session.ts";
import type { ProvenanceOptions } from "./provenance.ts";
import type { Reproduction } from "./reproduce.ts";

export interface BuildOptions extends SessionOptions {
  /**
   * The build context: a directory, a git repository (`URL#ref:subdirectory`), the http(s) URL of a tar or of a Dockerfile; or the bytes of a
   * tar or of a Dockerfile, told by content.
   */
  readonly context: string | AsyncIterable<Uint8Array>;
  /**
   * Relative to the working directory where the context is a directory, else a path in the context; or an http(s) URL. `Dockerfile` of
   * the context when absent.
   */
  readonly dockerfilePath?: string;
  /** The Dockerfile's text, in place of a file. `file` is what messages call it. */
  readonly dockerfile?: { readonly file: string; readonly bytes: Uint8Array };
  /** Called with the Dockerfile's text, wherever it comes from: an error's `span` is about it. */
  readonly onDockerfile?: (dockerfile: { readonly file: string; readonly bytes: Uint8Array }) => void;
  /** An ignore file in place of those that go with the Dockerfile and the context; relative to the working directory. */
  readonly ignoreFilePath?: string;
  /** Files of contexts are 0644 or 0755, directories 0755, whatever the umask of the checkout was. */
  readonly normalizeModes?: boolean;
  readonly target?: string;
  /** Several stages in one build, in place of `target`: what they share is built once. Tags and outputs are the first one's. */
  readonly targets?: readonly string[];
  readonly buildArgs?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** Variables and labels that the image does not have, wherever they come from; RUNs see the variables. */
  readonly unsetEnv?: readonly string[];
  readonly unsetLabels?: readonly string[];
  /** Names for the image: `alpine` is `docker.io/library/alpine:latest`. */
  readonly tags?: readonly string[];
  /** `os/architecture[/variant]`; this machine's when absent. */
  readonly platforms?: readonly string[];
  /** By name: a directory, a git repository, an http(s) URL (a directory with one file), `oci-layout://DIR[:TAG|@DIGEST]` or `docker-image://REFERENCE`. */
  readonly buildContexts?: Readonly<Record<string, string>>;
  readonly outputs?: readonly BuildOutput[];
  /** `all` layers of the image, the `new` ones above its base image's, or those of one stage become one. The cache keeps them as they are. */
  readonly squash?: Squash;
  /** Images tell how they were made: outputs `image` and `oci` become an index with an attestation. */
  readonly provenance?: ProvenanceOptions;
  /** Write a manifest, for its digest, also where no output needs one. */
  readonly wantManifests?: boolean;
  /** An image that the build is to come out as: nothing is taken from the cache, and the first target is compared with it. */
  readonly reproduce?: string;
  readonly noCache?: boolean;
  readonly noCacheFilter?: readonly string[];
  /** Results that are older, in milliseconds, are not taken from the cache. */
  readonly cacheTtlMs?: number;
  /** Caches of other machines, to look into besides the store. */
  readonly cacheFrom?: readonly CacheSource[];
  /** Where the build's results are written for other machines. */
  readonly cacheTo?: readonly CacheTarget[];
  /** Tell, as notes, for each step that is not in the cache what changed. */
  readonly explain?: boolean;
  /** Ask registries for the images that the Dockerfile names even when the store has them. */
  readonly pull?: boolean;
  /** By id. */
  readonly secrets?: ReadonlyMap<string, Uint8Array>;
  /** By id: the socket of an agent that runs, or files of private keys. */
  readonly ssh?: SolveOptions["ssh"];
  /** `network.host`, `security.insecure`, `device` for all devices, `device=NAME`. */
  readonly allow?: readonly string[];
  /** How many RUNs may go on at once; 16 when absent, for they mostly wait. */
  readonly jobs?: number;
  readonly network?: PlanOptions["network"];
  readonly shmSizeBytes?: number;
  readonly ulimits?: PlanOptions["ulimits"];
  readonly resources?: PlanOptions["resources"];
  readonly confinement?: PlanOptions["confinement"];
  readonly volumes?: PlanOptions["volumes"];
  readonly extraHosts?: PlanOptions["extraHosts"];
}

export interface BuildResult {
  /** Those of the first target first, in the order of the platforms. */
  readonly images: readonly BuiltImage[];
  /** What a name of the first target stands for: its manifest, or the index over several. Absent when nothing needed one. */
  readonly root?: Descriptor;
  /** With `reproduce`: one for each platform. */
  readonly reproductions?: readonly Reproduction[];
  /** How the images were made (SLSA provenance); absent without `provenance`. */
  readonly provenance?: object;
  /** Stages that were not needed. */
  readonly leftOut: readonly string[];
  /** What was done, in the order in which it ended: steps of the Dockerfile, pulls, exports. */
  readonly steps: readonly StepFacts[];
}

export interface StepFacts {
  /** As progress calls it: `[builder 2/4] RUN go build`. */
  readonly name: string;
  /** Of a step of the Dockerfile: its stage. */
  readonly stage?: string;
  readonly isCached: boolean;
  /** In milliseconds since 1970. */
  readonly startedMs: number;
  readonly endedMs: number;
}

export interface BuiltImage {
  readonly target: string;
  readonly platform: string;
  /** The image id. */
  readonly configDigest: string;
  /** Of its layers' tars, uncompressed; a layer that was not fetched counts nothing. */
  readonly sizeBytes: number;
  /** Absent when nothing needed a manifest. */
  readonly manifestDigest?: string;
  /** The same manifest with its media type and size. */
  readonly manifestDescriptor?: Descriptor;
}
