import type { SourceSpan } from "../errors/build-error.ts";
import type { Healthcheck } from "../oci/image-config.ts";
import type { MountSpec } from "./mount.ts";
import type { EscapeCharacter } from "./syntax-tree.ts";

/** A Dockerfile as instructions with a type. Variables are not expanded: that needs the environment of a build. */
export interface Dockerfile {
  readonly escape: EscapeCharacter;
  /** ARG instructions before the first FROM. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
}

/** FROM and the instructions up to the next one. */
export interface Stage {
  /** In lower case; absent without AS. */
  readonly name?: string;
  /** An image, an earlier stage or `scratch`; may hold global ARGs. */
  readonly base: string;
  /** Of `--platform`; may hold global ARGs. */
  readonly platform?: string;
  readonly instructions: readonly Instruction[];
  /** What the comment above says about the name: `# builder compiles it`. */
  readonly description?: string;
  /** FROM, as written; and AS, where there is one. */
  readonly keyword: string;
  readonly asKeyword?: string;
  /** The name before it was lowered. */
  readonly writtenName?: string;
  /** The logical line of FROM. */
  readonly line: string;
  readonly comments: readonly string[];
  /** Of FROM. */
  readonly span: SourceSpan;
}

export interface InstructionCommon {
  /** As written, in any case. */
  readonly keyword: string;
  /** The logical line, trimmed, as history and progress show it. */
  readonly line: string;
  readonly comments: readonly string[];
  readonly span: SourceSpan;
}

export type Instruction =
  | RunInstruction
  | CopyInstruction
  | AddInstruction
  | ArgInstruction
  | PairsInstruction
  | CommandInstruction
  | HealthcheckInstruction
  | ShellInstruction
  | UserInstruction
  | WorkdirInstruction
  | VolumeInstruction
  | ExposeInstruction
  | StopsignalInstruction
  | MaintainerInstruction
  | OnbuildInstruction;

/** A command for the shell, or a list of arguments (JSON form). */
export type CommandLine =
  | { readonly form: "shell"; readonly text: string }
  | { readonly form: "exec"; readonly args: readonly string[] };

/** A heredoc with its text: of `<<-`, tabs are off when `content` is, and still there in `rawContent`. */
export interface InlineFile {
  readonly name: string;
  readonly content: string;
  readonly rawContent: string;
  readonly expand: boolean;
}

export interface RunInstruction extends InstructionCommon {
  readonly kind: "run";
  readonly command: CommandLine;
  readonly heredocs: readonly InlineFile[];
  readonly mounts: readonly MountSpec[];
  readonly network: "default" | "none" | "host";
  readonly security: "sandbox" | "insecure";
  readonly devices: readonly { readonly name: string; readonly required: boolean }[];
}

export type CopyItem =
  | { readonly kind: "path"; readonly path: string }
  | ({ readonly kind: "heredoc" } & InlineFile);

interface TransferCommon extends InstructionCommon {
  readonly sources: readonly CopyItem[];
  readonly destination: string;
  readonly chown?: string;
  readonly chmod?: string;
  readonly link: boolean;
  readonly exclude: readonly string[];
}

export interface CopyInstruction extends TransferCommon {
  readonly kind: "copy";
  /** A stage's name or number, an image or a named context. */
  readonly from?: string;
  readonly parents: boolean;
}

export interface AddInstruction extends TransferCommon {
  readonly kind: "add";
  readonly keepGitDir?: boolean;
  readonly checksum?: string;
  readonly unpack?: boolean;
}

export interface ArgInstruction extends InstructionCommon {
  readonly kind: "arg";
  readonly args: readonly ArgDefinition[];
}

export interface ArgDefinition {
  readonly name: string;
  /** The default; absent without `=`. */
  readonly value?: string;
  /** What the comment above says about the name. */
  readonly description?: string;
}

/** ENV and LABEL. */
export interface PairsInstruction extends InstructionCommon {
  readonly kind: "env" | "label";
  readonly pairs: readonly { readonly key: string; readonly value: string; readonly hasEquals: boolean }[];
}

/** CMD and ENTRYPOINT. */
export interface CommandInstruction extends InstructionCommon {
  readonly kind: "cmd" | "entrypoint";
  readonly command: CommandLine;
}

export interface HealthcheckInstruction extends InstructionCommon {
  readonly kind: "healthcheck";
  readonly healthcheck: Required<Healthcheck>;
}

export interface ShellInstruction extends InstructionCommon {
  readonly kind: "shell";
  readonly shell: readonly string[];
}

export interface UserInstruction extends InstructionCommon {
  readonly kind: "user";
  readonly user: string;
}

export interface WorkdirInstruction extends InstructionCommon {
  readonly kind: "workdir";
  readonly path: string;
}

export interface VolumeInstruction extends InstructionCommon {
  readonly kind: "volume";
  readonly volumes: readonly string[];
}

export interface ExposeInstruction extends InstructionCommon {
  readonly kind: "expose";
  /** In byte order, as BuildKit sorts them; each may expand to several words. */
  readonly ports: readonly string[];
}

export interface StopsignalInstruction extends InstructionCommon {
  readonly kind: "stopsignal";
  readonly signal: string;
}

export interface MaintainerInstruction extends InstructionCommon {
  readonly kind: "maintainer";
  readonly author: string;
}

export interface OnbuildInstruction extends InstructionCommon {
  readonly kind: "onbuild";
  /** The trigger's text, as the image config keeps it; `lowerTrigger` reads it. */
  readonly expression: string;
}
