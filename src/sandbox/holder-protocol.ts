/** What slipway and its holder process say to each other, over the IPC channel that Node gives a child. */
export type HolderRequest =
  | ({ readonly kind: "run" } & ContainerRequest)
  /** Ends the whole process tree of a run at once. */
  | { readonly kind: "kill"; readonly id: string };

export type HolderReply =
  | { readonly kind: "ready" }
  | {
      readonly kind: "output";
      readonly id: string;
      readonly stream: "stdout" | "stderr";
      readonly data: Uint8Array;
    }
  | ({ readonly kind: "exit"; readonly id: string } & ContainerExit)
  /** The command could not be started at all. */
  | { readonly kind: "failed"; readonly id: string; readonly message: string };

/** One container: a root file system to put together and a command to run in it. */
export interface ContainerRequest {
  readonly id: string;
  /** Scratch directory of this run, which exists and is empty; the holder makes everything else in it. */
  readonly directory: string;
  /** Directories that become one overlay: the topmost first. */
  readonly lowerDirectories: readonly string[];
  /** Where changes go; empty, on the same file system as `workDirectory`. */
  readonly upperDirectory: string;
  readonly workDirectory: string;
  /** Further trees; mounts may name what is in them as `tree:NAME/PATH`. What is written to them is thrown away. */
  readonly trees: readonly MountTree[];
  /** Files that exist only in the holder's memory while the command runs; mounts may name them as `memory:NAME`. */
  readonly memoryFiles: readonly MemoryFile[];
  /** The OCI runtime spec's config.json; sources `memory:NAME` and `tree:NAME/PATH` are filled in. */
  readonly runtimeConfig: RuntimeConfig;
  readonly runtime: RuntimeProgram;
  /** `pasta`: a network of its own with a way out; only a holder that was started with pasta has any. */
  readonly network: "host" | "none" | "pasta";
  /** `inherit`: the command has the terminal or pipes of slipway itself. */
  readonly stdio: "pipe" | "inherit";
}

export interface MountTree {
  readonly name: string;
  /** The topmost first; at least one. */
  readonly lowerDirectories: readonly string[];
}

export interface MemoryFile {
  readonly name: string;
  readonly content: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface RuntimeProgram {
  readonly name: "crun" | "runc";
  readonly path: string;
}

export interface ContainerExit {
  /** 128 and the signal's number when a signal ended it. */
  readonly exitCode: number;
  /** What the runtime itself complained of, e.g. that there is no such command. */
  readonly runtimeMessage?: string;
}

/** The parts of the OCI runtime spec 1.1 config.json that slipway sets. */
export interface RuntimeConfig {
  readonly ociVersion: string;
  readonly hostname?: string;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly process: {
    readonly terminal: boolean;
    readonly user: {
      readonly uid: number;
      readonly gid: number;
      readonly additionalGids: readonly number[];
      readonly umask?: number;
    };
    readonly args: readonly string[];
    readonly env: readonly string[];
    readonly cwd: string;
    readonly capabilities: Readonly<Record<"bounding" | "effective" | "permitted", readonly string[]>>;
    readonly rlimits: readonly { readonly type: string; readonly soft: number; readonly hard: number }[];
    readonly noNewPrivileges: boolean;
  };
  readonly mounts: readonly RuntimeMount[];
  readonly linux: {
    readonly namespaces: readonly { readonly type: string; readonly path?: string }[];
    readonly resources: object;
    readonly maskedPaths: readonly string[];
    readonly readonlyPaths: readonly string[];
  };
}

export interface RuntimeMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}
