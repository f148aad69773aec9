import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, realpath, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { BuildError } from "../errors/build-error.ts";

/** An entry of `auths`: `auth` is base64 of `user:password`. */
export interface AuthEntry {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

/** docker's `config.json` and podman's `auth.json`, what concerns registries; everything else in it is kept when it is written. */
export interface AuthFile {
  readonly auths?: Readonly<Record<string, AuthEntry>>;
  /** Suffix of the program that holds all credentials: `docker-credential-SUFFIX`. */
  readonly credsStore?: string;
  /** By registry. */
  readonly credHelpers?: Readonly<Record<string, string>>;
}

export interface ReadAuthFile {
  readonly path: string;
  readonly content: AuthFile;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** docker's `config.json`: in DOCKER_CONFIG, else in `~/.docker`. */
export function dockerConfigPath(environment: Environment): string {
  return join(environment.DOCKER_CONFIG || join(homeOf(environment), ".docker"), "config.json");
}

/** The files that docker and podman may have left credentials in (containers-auth.json(5)); docker's first, for `login` writes it. */
export function listAuthFiles(environment: Environment): string[] {
  const runtime = environment.XDG_RUNTIME_DIR;
  const config = environment.XDG_CONFIG_HOME || join(homeOf(environment), ".config");
  return [
    dockerConfigPath(environment),
    ...(runtime ? [join(runtime, "containers/auth.json")] : []),
    ...(process.getuid?.() === 0 ? ["/run/containers/0/auth.json"] : []),
    join(config, "containers/auth.json"),
  ];
}

/**
 * @returns undefined when the file is not there.
 * @throws BuildError `authentication` when it is not what it should be.
 */
export async function readAuthFile(path: string): Promise<ReadAuthFile | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new BuildError("authentication", `Cannot read the credentials in "${path}": ${code}`, {
      cause: error,
    });
  }
  if (text.trim() === "") return { path, content: {} };
  try {
    const content: unknown = JSON.parse(text);
    if (typeof content !== "object" || content === null || Array.isArray(content))
      throw new Error("no object");
    return { path, content };
  } catch {
    // Without the parser's message: it quotes the text, which has passwords in it.
    throw new BuildError("authentication", `Cannot read the credentials in "${path}": it is no JSON object`);
  }
}

/** Writes the whole file, for its owner alone, so that a reader sees either the old or the new one. */
export async function writeAuthFile({ path, content }: ReadAuthFile): Promise<void> {
  // A configuration is often a symlink into a collection of them, which should stay one.
  const target = await realpath(path).catch(() => path);
  await mkdir(dirname(target), { recursive: true, mode: 0o700 });
  const temporary = `${target}.${randomBytes(6).toString("hex")}`;
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(`${JSON.stringify(content, null, "\t")}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } finally {
    await rm(temporary, { force: true });
  }
}

function homeOf(environment: Environment): string {
  return environment.HOME || homedir();
}
