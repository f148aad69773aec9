import { copyFile, mkdir, open, readFile, rm, stat, utimes } from "node:fs/promises";
import { join, posix, resolve } from "node:path";
import { parseGitReference } from "../dockerfile/parse-git-reference.ts";
import { BuildError } from "../errors/build-error.ts";
import { type InputLimits, makeLimitError } from "../errors/input-limits.ts";
import { ARCHIVE_HEAD_SIZE, mayBeArchive } from "../rootfs/unpack-archive.ts";
import { temporaryPath } from "../store/blobs.ts";
import type { ContextOptions } from "./context-options.ts";
import type { ContextTree, DockerfileChoice, DockerfileText, OpenedContext } from "./context-tree.ts";
import { redactRemote } from "./git-environment.ts";
import { openArchive } from "./open-archive.ts";
import { openDirectory, openDirectoryTree } from "./open-directory.ts";
import { checkInputSize, readIgnoreFile } from "./read-input-file.ts";
import { redactUrl } from "./url-text.ts";

export interface OpenContextRequest extends Omit<DockerfileChoice, "ignore"> {
  /** A directory, a git repository, the http(s) URL of a tar or of a Dockerfile; or the bytes of a tar or of a Dockerfile (`-`). */
  readonly context: string | AsyncIterable<Uint8Array>;
  /** An ignore file in place of those of the context, relative to the working directory. */
  readonly ignoreFilePath?: string;
  /** `.git` is part of a context that is a git repository. */
  readonly keepGitDir?: boolean;
}

/**
 * Opens the build context with its Dockerfile and its ignore file, wherever it comes from.
 *
 * @throws BuildError `context`, `fetch-failed`, `input-limit`, `option-invalid`, `verification`.
 */
export async function openContext(
  request: OpenContextRequest,
  options: ContextOptions,
): Promise<OpenedContext> {
  const { context } = request;
  const { limits } = options;
  const choice = {
    ...(await chooseDockerfile(request, options)),
    ignore: await readIgnoreFile(request.ignoreFilePath, limits),
  };
  if (typeof context !== "string") return openStream(context, choice, options);
  const kind = await kindOf(context);
  if (kind === "directory") return openDirectory(context, choice, { limits });
  if (kind === "git") {
    const directory = await checkOut(context, options, request.keepGitDir);
    const title = redactRemote(context);
    return openDirectory(directory, inside(directory, choice), { limits, title });
  }
  return openUrl(context, choice, options);
}

/**
 * The files of a named context: a directory, a git repository, or an http(s) URL, which is a directory with one file.
 *
 * @throws BuildError as `openContext`.
 */
export async function openNamedContext(value: string, options: ContextOptions): Promise<ContextTree> {
  const { limits } = options;
  const kind = await kindOf(value);
  if (kind === "git") return openDirectoryTree(await checkOut(value, options), { limits });
  if (kind === "directory") {
    const directory = await stat(value).catch(() => undefined);
    if (directory?.isDirectory()) return openDirectoryTree(resolve(value), { limits });
    throw new BuildError("context", `Cannot use "${value}" as a build context: there is no such directory`);
  }
  const remotes = await options.openRemotes();
  const file = await remotes.download({ url: value, signal: options.signal });
  return { kind: "directory", directory: await placeFile(file, nameOf(value), options), ignorePatterns: [] };
}

type Kind = "directory" | "git" | "http";

/** As docker has it: what is there as a directory is one, whatever its name looks like. */
async function kindOf(context: string): Promise<Kind> {
  const found = await stat(context).catch(() => undefined);
  if (found?.isDirectory()) return "directory";
  if (parseGitReference(context) !== undefined) return "git";
  return /^https?:\/\//i.test(context) ? "http" : "directory";
}

async function checkOut(url: string, options: ContextOptions, keepGitDir?: boolean): Promise<string> {
  const remotes = await options.openRemotes();
  const { ssh, signal } = options;
  // False is no wish: the reference itself may have one.
  const source = await remotes.findGit({ url, keepGitDir: keepGitDir || undefined, ssh, signal });
  return source.checkOut();
}

/** A path in a repository: `..` stays inside. */
function inside(directory: string, choice: DockerfileChoice): DockerfileChoice {
  const { dockerfilePath: path } = choice;
  return path === undefined ? choice : { ...choice, dockerfilePath: join(directory, posix.join("/", path)) };
}

async function chooseDockerfile(
  request: OpenContextRequest,
  options: ContextOptions,
): Promise<Omit<DockerfileChoice, "ignore">> {
  const { dockerfilePath, dockerfile } = request;
  if (dockerfile !== undefined) return { dockerfile };
  if (dockerfilePath === undefined || !/^https?:\/\//i.test(dockerfilePath)) return { dockerfilePath };
  const remotes = await options.openRemotes();
  const { limits, signal } = options;
  const { filePath } = await remotes.download({ url: dockerfilePath, sizeLimit: "dockerfile-size", signal });
  return { dockerfile: await readDockerfile(filePath, { file: redactUrl(dockerfilePath), limits }) };
}

async function openUrl(
  url: string,
  choice: DockerfileChoice,
  options: ContextOptions,
): Promise<OpenedContext> {
  const { limits, signal } = options;
  const remotes = await options.openRemotes();
  const file = await remotes.download({ url, sizeLimit: "context-size", signal });
  const opened = await openArchive(file.filePath, choice, options);
  if (opened !== undefined) return opened;
  const dockerfile =
    choice.dockerfile ?? (await readDockerfile(file.filePath, { file: redactUrl(url), limits }));
  // BuildKit's name for the file; that of the user's -f says nothing here.
  const directory = await placeFile(file, "context", options);
  return { dockerfile, tree: { kind: "directory", directory, ignorePatterns: [] } };
}

async function openStream(
  bytes: AsyncIterable<Uint8Array>,
  choice: DockerfileChoice,
  options: ContextOptions,
): Promise<OpenedContext> {
  const path = temporaryPath(options.store);
  try {
    await keepStream(bytes, path, options);
    const opened = await openArchive(path, choice, options);
    if (opened !== undefined) return opened;
    if (choice.dockerfilePath !== undefined || choice.dockerfile !== undefined) {
      throw new BuildError(
        "option-invalid",
        "Cannot use stdin as the build context: it is no tar archive, and -f names a Dockerfile",
        {
          hint: "A Dockerfile on stdin needs no -f; with a directory as the context write -f -",
        },
      );
    }
    const directory = temporaryPath(options.store);
    await mkdir(directory);
    return {
      dockerfile: await readDockerfile(path, { file: "-", limits: options.limits }),
      tree: { kind: "directory", directory, ignorePatterns: [] },
    };
  } finally {
    await rm(path, { force: true });
  }
}

async function keepStream(
  bytes: AsyncIterable<Uint8Array>,
  path: string,
  { limits, signal }: ContextOptions,
): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  let size = 0;
  let head = Buffer.alloc(0);
  for await (const chunk of bytes) {
    signal.throwIfAborted();
    if (head.length < ARCHIVE_HEAD_SIZE) head = Buffer.concat([head, chunk]).subarray(0, ARCHIVE_HEAD_SIZE);
    size += chunk.length;
    if (size > limits["context-size"]) {
      throw makeLimitError("context-size", "Cannot read the build context: it is larger", limits);
    }
    // Far beyond that, what is no archive is not kept until its end is seen.
    if (size > limits["dockerfile-size"] && !mayBeArchive(head)) checkInputSize(size, "-", limits);
    await file.writeFile(chunk);
  }
  if (size === 0) {
    throw new BuildError("context", "Cannot use stdin as the build context: it is empty");
  }
}

async function readDockerfile(
  path: string,
  { file, limits }: { readonly file: string; readonly limits: InputLimits },
): Promise<DockerfileText> {
  const { size } = await stat(path);
  checkInputSize(size, file, limits);
  return { file, bytes: await readFile(path) };
}

/** A directory with one file, of mode 0600 as downloads have it. */
async function placeFile(
  { filePath, mtime }: { readonly filePath: string; readonly mtime: number },
  name: string,
  { store }: ContextOptions,
): Promise<string> {
  const directory = temporaryPath(store);
  await mkdir(directory);
  const path = join(directory, name);
  await copyFile(filePath, path);
  await utimes(path, mtime, mtime);
  return directory;
}

/** The last part of a URL's path. */
function nameOf(url: string): string {
  const name = posix.basename(decodeOr(URL.parse(url)?.pathname ?? ""));
  return name === "" || name === "." || name === ".." || name.includes("\0") ? "download" : name;
}

function decodeOr(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
