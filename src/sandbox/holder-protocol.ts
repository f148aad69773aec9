import type { CgroupVersion } from "./cgroup-view.ts";
import type { ContainerDevice } from "./container-device.ts";
import type { RuntimeResources } from "./runtime-resources.ts";

/** What slipway and its holder process say to each other, over the IPC channel that Node gives a child. */
export type HolderRequest =
  | ({ readonly kind: "run" } & ContainerRequest)
  /** Ends the whole process tree of a run at once. */
  | { readonly kind: "kill"; readonly id: string };

export type HolderReply =
  | ({ readonly kind: "ready" } & HolderAbilities)
  | {
      readonly kind: "output";
      readonly id: string;
      readonly stream: "stdout" | "stderr";
      readonly data: Uint8Array;
    }
  | ({ readonly kind: "exit"; readonly id: string } & ContainerExit)
  /** The command could not be started at all. */
  | { readonly kind: "failed"; readonly id: string; readonly message: string };

/** What commands can be given on this machine. */
export interface HolderAbilities {
  /** Which cgroups limit what commands use, and keep them from devices. */
  readonly cgroups: CgroupVersion;
  /** Whether lower directories may be `MountableLayer`s. */
  readonly hasErofs: boolean;
  /** Capabilities that a command can have. */
  readonly capabilities: readonly string[];
}

/** How the holder is started. */
export interface HolderOptions {
  /** An empty directory for it to mount its memory on, where it keeps what must never reach a disk. */
  readonly memoryDirectory: string;
  /** The program that gives commands networks of their own. */
  readonly pastaPath?: string;
  /** The first command has such a network. */
  readonly preparesNetwork?: boolean;
  readonly runtime: RuntimeProgram;
}

/** One container: a root file system to put together and a command to run in it. */
export interface ContainerRequest {
  readonly id: string;
  /** Scratch directory of this run, for the uppers of `trees`. */
  readonly directory: string;
  /** Directories that become one overlay: the topmost first. */
  readonly lowerDirectories: readonly LowerDirectory[];
  /** What lies over them to be mounted on. */
  readonly stubs: readonly MountStub[];
  /** Where changes go; empty, on the same file system as `workDirectory`. */
  readonly upperDirectory: string;
  readonly workDirectory: string;
  /** Further trees; mounts may name what is in them as `tree:NAME/PATH`. What is written to them is thrown away. */
  readonly trees: readonly MountTree[];
  /** Files that exist only in the holder's memory while the command runs; mounts may name them as `memory:NAME`. */
  readonly memoryFiles: readonly MemoryFile[];
  /** Sockets of ssh agents; mounts may name them as `socket:NAME`. */
  readonly sockets?: readonly AgentSocket[];
  /** The OCI runtime spec's config.json; sources `memory:NAME`, `socket:NAME` and `tree:NAME/PATH` are filled in. */
  readonly runtimeConfig: RuntimeConfig;
  /** Absolute in each hierarchy of cgroups. */
  readonly cgroupPath: string;
  /** Whether device nodes in its file system work. */
  readonly hasDevices: boolean;
  /** `pasta`: a network of its own with a way out; only a holder that was started with pasta has any. */
  readonly network: "host" | "none" | "pasta";
  /** `inherit`: the command has the terminal or pipes of slipway itself. */
  readonly stdio: "pipe" | "inherit";
}

/** A directory, or what is mounted to be one. */
export type LowerDirectory = string | MountableLayer;

/** A mount point that a tree lacks, or a directory of the tree that one lies in. */
export interface MountStub {
  /** One char a byte, relative to the root. */
  readonly path: string;
  readonly kind: "directory" | "file";
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtime?: number;
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
}

/** A layer's tar and the EROFS metadata that make a read-only file system of it. */
export interface MountableLayer {
  readonly metadataPath: string;
  readonly dataPath: string;
}

export interface MountTree {
  readonly name: string;
  /** The topmost first; at least one. */
  readonly lowerDirectories: readonly LowerDirectory[];
}

export interface MemoryFile {
  readonly name: string;
  readonly content: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A socket of a container that leads to an ssh agent. */
export interface AgentSocket {
  readonly name: string;
  readonly agent: SshAgent;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export type SshAgent =
  /** One that runs already. */
  | { readonly kind: "socket"; readonly path: string }
  /** One of our own, with the private keys of these files. */
  | { readonly kind: "keys"; readonly paths: readonly string[] };

export interface RuntimeProgram {
  readonly name: "crun" | "runc";
  readonly path: string;
}

export interface ContainerExit {
  /** 128 and the signal's number when a signal ended it. */
  readonly exitCode: number;
  /** What the runtime itself complained of, e.g. that there is no such command. */
  readonly runtimeMessage?: string;
  /** The kernel killed something of the command because its limit on memory was reached. */
  readonly ranOutOfMemory?: boolean;
  /** It had a loopback alone, because the machine has no way out. */
  readonly isOffline?: boolean;
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
    readonly capabilities: {
      readonly bounding: readonly string[];
      readonly effective: readonly string[];
      readonly permitted: readonly string[];
      readonly inheritable?: readonly string[];
      readonly ambient?: readonly string[];
    };
    readonly rlimits: readonly { readonly type: string; readonly soft: number; readonly hard: number }[];
    readonly noNewPrivileges: boolean;
  };
  readonly mounts: readonly RuntimeMount[];
  readonly hooks?: RuntimeHooks;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly linux: {
    readonly namespaces: readonly { readonly type: string; readonly path?: string }[];
    readonly cgroupsPath?: string;
    readonly resources: RuntimeResources;
    readonly devices: readonly ContainerDevice[];
    /** As JSON, for it is long: to send and to write each of its names anew for each command takes a millisecond. */
    readonly seccomp?: string;
    readonly maskedPaths: readonly string[];
    readonly readonlyPaths: readonly string[];
  };
}

/** By the runtime spec's name of the moment: programs of the host. */
export type RuntimeHooks = Readonly<
  Record<
    string,
    readonly {
      readonly path: string;
      readonly args?: readonly string[];
      readonly env?: readonly string[];
      readonly timeout?: number;
    }[]
  >
>;

export interface RuntimeMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}
