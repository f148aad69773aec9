import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { parseIgnoreFile } from "../dockerfile/make-ignore-matcher.ts";
import { BuildError } from "../errors/build-error.ts";
import { explainSystemError } from "../errors/explain-system-error.ts";
import type { InputLimits } from "../errors/input-limits.ts";
import { suggestNearest } from "../errors/suggest-nearest.ts";
import type { ContextTree, DockerfileChoice, OpenedContext } from "./context-tree.ts";
import { readInputFile } from "./read-input-file.ts";

/**
 * A directory as the build context: its Dockerfile, and the ignore file that goes with it (`NAME.dockerignore` beside the
 * Dockerfile NAME, else `.dockerignore` at the root). The Dockerfile itself may lie outside, or be ignored.
 *
 * @throws BuildError `context` when one of them is missing, unreadable or a link that leads out of the context; `input-limit`.
 */
export async function openDirectory(
  name: string,
  choice: DockerfileChoice,
  options: {
    readonly limits: InputLimits;
    /** What messages call the directory, where the user does not know its name; its files are then called as in it. */
    readonly title?: string;
  },
): Promise<OpenedContext> {
  const { limits, title } = options;
  const directory = resolve(name);
  await refuseUnlessDirectory(directory, name);
  const { ignore } = choice;
  const isForeign = title !== undefined;
  if (choice.dockerfile !== undefined) {
    const tree = await openDirectoryTree(directory, { limits, ignore, isForeign });
    return { dockerfile: choice.dockerfile, tree };
  }
  const path = choice.dockerfilePath ?? (await findDockerfile(directory, title ?? name));
  const file = isForeign ? relative(directory, path) : path;
  const bytes = await readDockerfile(path, { directory, limits, name: file });
  return {
    dockerfile: { file, bytes },
    tree: await openDirectoryTree(directory, {
      limits,
      ignore,
      isForeign,
      ownIgnoreFile: `${resolve(path)}.dockerignore`,
    }),
  };
}

/** A directory and its ignore file: `ignore`, else the first of `ownIgnoreFile` and `.dockerignore` that is there. */
export async function openDirectoryTree(
  directory: string,
  {
    limits,
    ignore,
    ownIgnoreFile,
    isForeign = false,
  }: {
    readonly limits: InputLimits;
    /** The user does not know the directory's name: messages have the names of files in it. */
    readonly isForeign?: boolean;
    readonly ignore?: DockerfileChoice["ignore"];
    readonly ownIgnoreFile?: string;
  },
): Promise<ContextTree> {
  if (ignore !== undefined) {
    const ignorePatterns = parseIgnoreFile(Buffer.from(ignore.bytes).toString("utf8"));
    return { kind: "directory", directory, ignorePatterns, ignoreFile: ignore.file };
  }
  const candidates = [
    ...(ownIgnoreFile === undefined ? [] : [ownIgnoreFile]),
    join(directory, ".dockerignore"),
  ];
  for (const ignoreFile of candidates) {
    const name = isForeign ? relative(directory, ignoreFile) : ignoreFile;
    const text = await readIfThere(ignoreFile, { directory, limits, name });
    if (text !== undefined) {
      return { kind: "directory", directory, ignorePatterns: parseIgnoreFile(text), ignoreFile };
    }
  }
  return { kind: "directory", directory, ignorePatterns: [] };
}

async function refuseUnlessDirectory(directory: string, name: string): Promise<void> {
  const found = await stat(directory).catch((error) => {
    throw new BuildError(
      "context",
      `Cannot use "${name}" as the build context: ${explainSystemError(error)}`,
      {
        cause: error,
      },
    );
  });
  if (!found.isDirectory()) {
    throw new BuildError("context", `Cannot use "${name}" as the build context: it is a file`, {
      hint: "Give the directory that it lies in; -f names a Dockerfile",
    });
  }
}

type InputOptions = Parameters<typeof readInputFile>[1];

/** docker also takes the name in lower case. */
async function findDockerfile(directory: string, title: string): Promise<string> {
  const names = await readdir(directory);
  const found = DOCKERFILE_NAMES.find((name) => names.includes(name));
  if (found !== undefined) return join(directory, found);
  const near = nearestDockerfile(names);
  throw new BuildError("context", `Cannot find a Dockerfile: "${title}" has none`, {
    hint:
      near === undefined
        ? "Name it with -f FILE"
        : `Did you mean -f ${/^[a-z]+:|@/.test(title) ? near : join(title, near)}?`,
  });
}

export const DOCKERFILE_NAMES: readonly string[] = ["Dockerfile", "dockerfile"];

/** The name of a file that may have been meant. */
export function nearestDockerfile(names: readonly string[]): string | undefined {
  const like = names.find(
    (name) => /dockerfile|containerfile/i.test(name) && !name.endsWith(".dockerignore"),
  );
  const stem = (name: string) => name.replace(/\..*$/s, "");
  return like ?? names.find((name) => suggestNearest("Dockerfile", [stem(name)]) !== undefined);
}

async function readDockerfile(
  path: string,
  options: InputOptions & { readonly name: string },
): Promise<Uint8Array> {
  try {
    return await readInputFile(path, options);
  } catch (error) {
    if (error instanceof BuildError) throw error;
    throw new BuildError(
      "context",
      `Cannot read the Dockerfile "${options.name}": ${explainSystemError(error)}`,
      {
        hint: await nearestSibling(path, options.name),
        cause: error,
      },
    );
  }
}

async function nearestSibling(path: string, shown: string): Promise<string | undefined> {
  const names = await readdir(dirname(path)).catch(() => []);
  const near = suggestNearest(basename(path), names);
  return near && `Did you mean "${join(dirname(shown), near)}"?`;
}

async function readIfThere(path: string, options: InputOptions): Promise<string | undefined> {
  try {
    return Buffer.from(await readInputFile(path, options)).toString("utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    if (error instanceof BuildError) throw error;
    throw new BuildError("context", `Cannot read "${path}": ${explainSystemError(error)}`, { cause: error });
  }
}
