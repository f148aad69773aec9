import type { SourceSpan } from "../errors/build-error.ts";
import type { Confinement } from "../oci/confinement.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import type { Platform } from "../oci/platform.ts";
import type { ResourceLimits } from "../oci/resource-limits.ts";

/** Index of a step in `Plan.steps`. */
export type StepId = number;

/**
 * What a build does, as data: a graph of steps and the images that come out.
 * Pure: nothing in it depends on a clock, the environment or a file system.
 */
export interface Plan {
  /** In topological order: a step's inputs stand before it. Only steps that an output needs. */
  readonly steps: readonly Step[];
  readonly outputs: readonly PlanOutput[];
  /** Stages of the Dockerfile that no output needs, in the order of the file. */
  readonly leftOut: readonly LeftOutStage[];
  /** Secrets, ssh agents and entitlements that the steps ask for are in the steps themselves. */
  readonly warnings: readonly PlanWarning[];
  /** SOURCE_DATE_EPOCH, where it is given: the time of the image and of what the build itself makes. */
  readonly epoch?: Epoch;
}

/** Where SOURCE_DATE_EPOCH comes from: seconds since 1970, a context's own time (of its commit, its Last-Modified), or a download's. */
export type Epoch =
  | { readonly kind: "time"; readonly seconds: number }
  | { readonly kind: "context"; readonly name: string }
  | { readonly kind: "git" | "http"; readonly url: string };

export interface LeftOutStage {
  /** The stage's name, or its number as text where it has none. */
  readonly name: string;
  readonly span: SourceSpan;
}

export interface PlanWarning {
  readonly message: string;
  readonly span?: SourceSpan;
}

/** One image: a target on a platform. */
export interface PlanOutput {
  /** The target stage's name, or its number as text. */
  readonly target: string;
  readonly platform: Platform;
  /** The step whose root file system the image has. */
  readonly rootfs: StepId;
  /**
   * The config, but for `created`, `rootfs.diff_ids` and `history[].created`, which the exporter fills in.
   * `history` has the base image's entries first; the entries without `empty_layer` stand for the layers, in order.
   */
  readonly config: ImageConfig;
}

export type Step = SourceStep | CopyStep | WorkdirStep | RunStep;

interface StepCommon {
  readonly id: StepId;
  /** As progress shows it: `[builder 2/4] RUN go build`. */
  readonly name: string;
  /** The stage's name or number as text; empty for sources that belong to no stage. */
  readonly stage: string;
  readonly platform: Platform;
  /** The instruction that asks for the step; absent for the main build context. */
  readonly span?: SourceSpan;
  /** `--no-cache` or `--no-cache-filter` meets this step: it is never looked up. */
  readonly ignoreCache?: boolean;
}

/** Where files come from. Its result is a root file system (image, scratch) or a tree of files (context). */
export interface SourceStep extends StepCommon {
  readonly kind: "source";
  readonly source: Source;
}

export type Source =
  | { readonly kind: "scratch" }
  /** `reference` is what the Dockerfile says, ARGs expanded; `ImageBase.reference` of the same text gave its config. */
  | {
      readonly kind: "image";
      readonly reference: string;
      /** For the error when there is no such image: the stage that may have been meant (`Did you mean "builder"?`). */
      readonly hint?: string;
    }
  /** The build context (`name` is `context`) or a named context that is no image. */
  | { readonly kind: "context"; readonly name: string }
  | { readonly kind: "git"; readonly url: string; readonly keepGitDir: boolean; readonly checksum?: string }
  | { readonly kind: "http"; readonly url: string; readonly checksum?: string };

/** COPY and ADD. The result is `base` with one more layer. */
export interface CopyStep extends StepCommon {
  readonly kind: "copy";
  readonly instruction: "COPY" | "ADD";
  readonly base: StepId;
  /** In the order of the instruction. */
  readonly sources: readonly CopySource[];
  /** Absolute, joined with WORKDIR; a trailing slash is kept, for it means a directory. */
  readonly destination: string;
  /** As written, variables expanded: names or numbers, `user[:group]`; absent: 0:0 from a context, unchanged from a stage or image. */
  readonly chown?: string;
  /** As written, variables expanded: octal or symbolic. */
  readonly chmod?: string;
  readonly link: boolean;
  readonly parents: boolean;
  readonly exclude: readonly string[];
  /** ADD only: whether local archives are unpacked (`--unpack`; by default local ones are, downloaded ones are not). */
  readonly unpack?: boolean;
}

export type CopySource =
  /**
   * `path` is absolute in the tree of `from`, may hold wildcards, and keeps a trailing slash; with `--parents` it also keeps
   * the pivot: `/a/./b`.
   */
  | {
      readonly kind: "path";
      readonly from: StepId;
      readonly path: string;
      /** The path as written, where `..` in it would lead out of the tree: it stays at the root. */
      readonly outside?: string;
    }
  /** A heredoc: a regular file, mode 0644, 0:0. */
  | { readonly kind: "inline"; readonly name: string; readonly content: string }
  /** ADD of a URL or a git repository: `from` is an `http` or `git` source. */
  | { readonly kind: "remote"; readonly from: StepId; readonly path: string };

/** WORKDIR's directory. The result is `base` with one more layer, which is empty when the directory exists. */
export interface WorkdirStep extends StepCommon {
  readonly kind: "workdir";
  readonly base: StepId;
  /** Absolute and clean; never `/`. */
  readonly path: string;
  /** The USER in force, whose the new directories are; empty means 0:0. */
  readonly user: string;
}

/** RUN. The result is `base` with one more layer: what the command changed. */
export interface RunStep extends StepCommon {
  readonly kind: "run";
  readonly base: StepId;
  /** The arguments as they are executed: SHELL is already in front of a shell form. */
  readonly args: readonly string[];
  /**
   * RUN with a heredoc whose text starts with `#!` (and the like): files to mount while it runs, as BuildKit's frontend does.
   * `path` is absolute.
   */
  readonly files?: readonly { readonly path: string; readonly content: string; readonly mode: number }[];
  /** `NAME=value`, later ones win; the image's ENV and the visible ARGs, without proxy ARGs. */
  readonly env: readonly string[];
  /** Proxy ARGs that were passed: in the environment, in no key, in no history. */
  readonly proxyEnv: readonly string[];
  readonly workingDirectory: string;
  /** USER in force: `user[:group]`, names or numbers; empty means root. */
  readonly user: string;
  readonly mounts: readonly RunMount[];
  readonly network: "default" | "none" | "host";
  readonly security: "sandbox" | "insecure";
  readonly devices: readonly { readonly name: string; readonly required: boolean }[];
  readonly hostname?: string;
  /** Of `--shm-size`, in bytes. */
  readonly shmSizeBytes?: number;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  /** How much of the machine the command may use; it changes nothing in the result, and is in no key. */
  readonly resources?: ResourceLimits;
  /** Where it is not docker's default. */
  readonly confinement?: Confinement;
  /** Of `--add-host`: lines for /etc/hosts. */
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
}

/** A file or directory of this machine that commands see: what is in it is in no key. */
export interface VolumeMount {
  readonly type: "volume";
  /** Absolute on this machine. */
  readonly source: string;
  /** Absolute and clean. */
  readonly target: string;
  readonly readOnly: boolean;
}

export type RunMount =
  | VolumeMount
  | {
      readonly type: "bind";
      readonly from: StepId;
      readonly source: string;
      readonly target: string;
      readonly readWrite: boolean;
    }
  | {
      readonly type: "cache";
      readonly id: string;
      readonly target: string;
      readonly sharing: "shared" | "private" | "locked";
      readonly from?: StepId;
      readonly source?: string;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      readonly readOnly: boolean;
    }
  | { readonly type: "tmpfs"; readonly target: string; readonly sizeBytes?: number }
  | {
      readonly type: "secret";
      readonly id: string;
      /** Absent when the secret is only an environment variable. */
      readonly target?: string;
      readonly env?: string;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | {
      readonly type: "ssh";
      readonly id: string;
      readonly target: string;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    };

/** What the caller of `planBuild` chose. Every field but `platforms` and `buildPlatform` may be left out. */
export interface PlanOptions {
  /** Stage name; the last stage when absent. */
  readonly target?: string;
  /** Several targets, in place of `target`: each gets its outputs, and what they share is one step. */
  readonly targets?: readonly string[];
  readonly buildArgs?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** Variables and labels that the image's config does not have, wherever they come from. */
  readonly unsetEnv?: readonly string[];
  readonly unsetLabels?: readonly string[];
  /** The platforms to build for; one graph each. */
  readonly platforms: readonly Platform[];
  /** `platforms` is a default that nobody asked for: the image's config keeps the platform of its base. */
  readonly implicitPlatform?: boolean;
  /** What RUN runs on natively, and BUILDPLATFORM. */
  readonly buildPlatform: Platform;
  /** Names given with `--build-context`: whether each is an image (a base) or a tree of files. */
  readonly namedContexts?: Readonly<Record<string, NamedContext>>;
  readonly network?: "default" | "none" | "host";
  readonly shmSizeBytes?: number;
  readonly ulimits?: RunStep["ulimits"];
  readonly resources?: ResourceLimits;
  readonly confinement?: Confinement;
  /** Mounted in every RUN, below the mounts of its own. */
  readonly volumes?: readonly VolumeMount[];
  readonly extraHosts?: RunStep["extraHosts"];
  readonly noCache?: boolean;
  readonly noCacheFilter?: readonly string[];
}

export type NamedContext =
  /** `reference` stands for the image in `bases` and in the plan's image source. */
  { readonly kind: "image"; readonly reference: string } | { readonly kind: "files" };

/** An image that the plan stands on: asked for by `{ needs }`, given back in `bases`. */
export interface ImageNeed {
  readonly reference: string;
  readonly platform: Platform;
  /** Where the Dockerfile asks for it. */
  readonly span?: SourceSpan;
  /** For the error when there is no such image: the stage that may have been meant. */
  readonly hint?: string;
}

export interface ImageBase extends ImageNeed {
  readonly config: ImageConfig;
}
