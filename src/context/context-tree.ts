import type { CopyTree } from "../rootfs/copy-request.ts";

/** What COPY takes files from: the build context or a named one, without what its ignore file leaves out. Everything in it belongs to 0:0. */
export type ContextTree = CopyTree;

export interface DockerfileText {
  /** As the user called it. */
  readonly file: string;
  readonly bytes: Uint8Array;
}

export interface OpenedContext {
  readonly tree: ContextTree;
  readonly dockerfile: DockerfileText;
}

/** What the user says about the Dockerfile. */
export interface DockerfileChoice {
  /**
   * Relative to the working directory where the context is a directory, else a path in the context; a URL everywhere. `Dockerfile` of
   * the context when absent.
   */
  readonly dockerfilePath?: string;
  /** The text itself, when it does not come from a file: `-f -`. */
  readonly dockerfile?: DockerfileText;
  /** In place of the ignore files that go with the Dockerfile and the context. */
  readonly ignore?: DockerfileText;
}
