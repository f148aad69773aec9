import type { Command } from "./command.ts";

/** One builder, with a store of its own that nothing else uses. */
export interface Tool extends AsyncDisposable {
  readonly name: "slipway" | "docker" | "buildah";
  /** For the table: `docker 20.10.24`. */
  readonly version: string;
  /** The daemon that does the work, where there is one. */
  readonly daemonPid?: number;
  /** How many pid namespaces below its own it works in, without its containers. */
  readonly ownDepth: number;
  /** Forgets all images, layers and cache. */
  empty(): Promise<void>;
  pull(reference: string): Command;
  /** Gives an image another name. */
  tag(source: string, target: string): Command;
  build(build: BuildRequest): Command;
  /** Pushes what a build has tagged. */
  push(reference: string): Command;
  /** Builds, tags and pushes: with one command where the tool has one for it. */
  buildAndPush(build: BuildRequest): readonly Command[];
  /** Writes the files of what `build` makes, taken from the cache, as a tar; absent where the tool cannot. */
  exportTree?(build: BuildRequest, path: string): Command;
  /** The config of a tagged image, as the OCI image specification has it (`Env`, `Cmd`, ...). */
  readConfig(reference: string): Promise<Readonly<Record<string, unknown>>>;
}

export interface BuildRequest {
  /** The context, with its Dockerfile. */
  readonly directory: string;
  /** With the registry's host, so that it can be pushed. */
  readonly tag: string;
}
