import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { parseIgnoreFile } from "../dockerfile/make-ignore-matcher.ts";
import { BuildError } from "../errors/build-error.ts";
import { suggestNearest } from "../errors/suggest-nearest.ts";
import type { ContextTree } from "./context-tree.ts";

/** A Dockerfile larger than this is a mistake or an attack. */
const DOCKERFILE_SIZE_MAX = 16 * 1024 * 1024;

export interface OpenedContext {
  readonly tree: ContextTree;
  readonly dockerfile: DockerfileText;
}

export interface DockerfileText {
  /** As the user called it. */
  readonly file: string;
  readonly bytes: Uint8Array;
}

export interface OpenContextOptions {
  readonly directory: string;
  /** A path relative to the working directory; `Dockerfile` of the context when absent. */
  readonly dockerfilePath?: string;
  /** The text itself, when it does not come from a file: `-f -`. */
  readonly dockerfile?: DockerfileText;
}

/**
 * Opens a directory as the build context: its Dockerfile, and the ignore file that goes with it (`NAME.dockerignore` beside the
 * Dockerfile NAME, else `.dockerignore` at the root). The Dockerfile itself may lie outside, or be ignored.
 *
 * @throws BuildError `context` when one of them is missing or unreadable.
 */
export async function openContext(options: OpenContextOptions): Promise<OpenedContext> {
  const directory = resolve(options.directory);
  await refuseUnlessDirectory(directory, options.directory);
  if (options.dockerfile !== undefined) {
    return { dockerfile: options.dockerfile, tree: await openContextTree(directory) };
  }
  const path = options.dockerfilePath ?? (await findDockerfile(directory));
  const bytes = await readDockerfile(path);
  return {
    dockerfile: { file: path, bytes },
    tree: await openContextTree(directory, `${resolve(path)}.dockerignore`),
  };
}

/** A directory and its ignore file: the first of `ownIgnoreFile` and `.dockerignore` that is there. */
export async function openContextTree(directory: string, ownIgnoreFile?: string): Promise<ContextTree> {
  const candidates = [
    ...(ownIgnoreFile === undefined ? [] : [ownIgnoreFile]),
    join(directory, ".dockerignore"),
  ];
  for (const ignoreFile of candidates) {
    const text = await readIfThere(ignoreFile);
    if (text !== undefined)
      return { kind: "directory", directory, ignorePatterns: parseIgnoreFile(text), ignoreFile };
  }
  return { kind: "directory", directory, ignorePatterns: [] };
}

async function refuseUnlessDirectory(directory: string, name: string): Promise<void> {
  const found = await stat(directory).catch((error) => {
    throw new BuildError("context", `Cannot use "${name}" as the build context: ${reasonOf(error)}`, {
      cause: error,
    });
  });
  if (!found.isDirectory()) {
    throw new BuildError("context", `Cannot use "${name}" as the build context: it is a file`, {
      hint: "Give the directory that it lies in; -f names a Dockerfile",
    });
  }
}

/** docker also takes the name in lower case. */
async function findDockerfile(directory: string): Promise<string> {
  for (const name of ["Dockerfile", "dockerfile"]) {
    const path = join(directory, name);
    if (await stat(path).catch(() => undefined)) return path;
  }
  const names = await readdir(directory);
  const near = names.find((name) => /dockerfile|containerfile/i.test(name)) ?? nearestName(names);
  throw new BuildError("context", `Cannot find a Dockerfile: "${directory}" has none`, {
    hint: near === undefined ? "Name it with -f FILE" : `Did you mean -f ${join(directory, near)}?`,
  });
}

/** Names often have an extension that the near one lacks. */
function nearestName(names: readonly string[]): string | undefined {
  const near = suggestNearest(
    "Dockerfile",
    names.map((name) => name.replace(/\.\w+$/, "")),
  );
  return names.find((name) => near !== undefined && (name === near || name.startsWith(`${near}.`)));
}

async function readDockerfile(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > DOCKERFILE_SIZE_MAX) {
      throw new BuildError(
        "input-limit",
        `Cannot read "${path}": it has ${size} bytes, above the limit of 16 MiB for a Dockerfile`,
      );
    }
    return await readFile(path);
  } catch (error) {
    if (error instanceof BuildError) throw error;
    const near = await nearestSibling(path);
    throw new BuildError("context", `Cannot read the Dockerfile "${path}": ${reasonOf(error)}`, {
      hint: near,
      cause: error,
    });
  }
}

async function nearestSibling(path: string): Promise<string | undefined> {
  const names = await readdir(dirname(path)).catch(() => []);
  const near = suggestNearest(basename(path), names);
  return near && `Did you mean "${join(dirname(path), near)}"?`;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new BuildError("context", `Cannot read "${path}": ${reasonOf(error)}`, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return "there is no such file or directory";
  if (code === "EACCES") return "permission denied";
  if (code === "EISDIR") return "it is a directory";
  return message;
}
