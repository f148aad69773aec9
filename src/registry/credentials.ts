import { BuildError } from "../errors/build-error.ts";
import { type AuthEntry, listAuthFiles, type ReadAuthFile, readAuthFile } from "./auth-file.ts";
import { askCredentialHelper } from "./credential-helper.ts";

/** What a registry asks for. `identityToken` is a refresh token of the registry's token service; `registryToken` a bearer token itself. */
export type Credentials =
  | { readonly kind: "password"; readonly username: string; readonly password: string }
  | { readonly kind: "identity-token"; readonly identityToken: string }
  | { readonly kind: "registry-token"; readonly registryToken: string };

/**
 * Looks up the credentials of a registry by its host (`docker.io`, `localhost:5000`), and of a repository in it where they may differ;
 * undefined means anonymous.
 */
export type CredentialsProvider = (
  registryHost: string,
  repository?: string,
) => Promise<Credentials | undefined>;

export interface StoredCredentialsOptions {
  /** `--authfile`: the only file to read; it must exist. */
  readonly authFile?: string;
  /** Names the usual files, and is what credential helpers see; the process's environment when absent. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** Docker Hub's entry in a `config.json` is named after an API that is long gone. */
const DOCKER_HUB_KEY = "https://index.docker.io/v1/";

/**
 * Credentials as docker and podman stored them. Looks into `--authfile`, else REGISTRY_AUTH_FILE, else docker's `config.json`, then
 * podman's `auth.json`; in each of them at `credHelpers`, the `auths` of the repository's namespaces, `credsStore`, the registry's `auths`. Files
 * are read once, at the first question.
 *
 * The provider throws BuildError `authentication` for a file that cannot be read or a helper program that fails.
 */
export function makeStoredCredentials(options: StoredCredentialsOptions = {}): CredentialsProvider {
  const environment = options.environment ?? process.env;
  let files: Promise<readonly ReadAuthFile[]> | undefined;
  // A program is started once for a registry, not for each of its repositories.
  const answers = new Map<string, Promise<Credentials | undefined>>();
  const askHelper = (helper: string, key: string) => {
    const name = JSON.stringify([helper, key]);
    const answer = answers.get(name) ?? askCredentialHelper(helper, key, environment);
    answers.set(name, answer);
    return answer;
  };
  return async (registryHost, repository) => {
    files ??= readAll(options.authFile, environment);
    for (const file of await files) {
      const found = await findInFile(file, { registryHost, repository, askHelper });
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

/** The name of a registry in `auths`, `credHelpers` and a helper's store, as docker writes it. */
export function credentialKey(registryHost: string): string {
  return registryHost === "docker.io" ? DOCKER_HUB_KEY : registryHost;
}

async function readAll(authFile: string | undefined, environment: NodeJS.ProcessEnv) {
  const named = authFile ?? environment.REGISTRY_AUTH_FILE;
  if (named) {
    const file = await readAuthFile(named);
    if (file !== undefined) return [file];
    throw new BuildError(
      "authentication",
      `Cannot read the credentials in "${named}": there is no such file`,
    );
  }
  const files = await Promise.all(listAuthFiles(environment).map(readAuthFile));
  return files.filter((file) => file !== undefined);
}

async function findInFile(
  file: ReadAuthFile,
  wanted: {
    readonly registryHost: string;
    readonly repository: string | undefined;
    readonly askHelper: (helper: string, key: string) => Promise<Credentials | undefined>;
  },
): Promise<Credentials | undefined> {
  const { registryHost, repository, askHelper } = wanted;
  const { auths = {}, credHelpers = {}, credsStore } = file.content;
  const key = credentialKey(registryHost);
  const helper = credHelpers[key] ?? credHelpers[registryHost];
  if (helper !== undefined) return askHelper(helper, key);
  const namespace = listNamespaces(registryHost, repository).find((name) => auths[name] !== undefined);
  if (namespace !== undefined) return decodeEntry(auths[namespace]!, namespace, file.path);
  // docker asks the store first: entries in `auths` beside it are only markers that one has logged in.
  if (credsStore) {
    const found = await askHelper(credsStore, key);
    if (found !== undefined) return found;
  }
  const entry =
    auths[key] ??
    auths[registryHost] ??
    Object.entries(auths).find(([k]) => hostOfKey(k) === hostOfKey(key))?.[1];
  return entry === undefined ? undefined : decodeEntry(entry, registryHost, file.path);
}

/** podman's keys for a part of a registry (containers-auth.json(5)), the longest first: `quay.io/a/b`, `quay.io/a`. */
function listNamespaces(registryHost: string, repository: string | undefined): string[] {
  const parts = repository?.split("/") ?? [];
  return parts.map((_, at) => `${registryHost}/${parts.slice(0, parts.length - at).join("/")}`);
}

/** Old files have URLs as keys: `https://registry.example/v1/`. */
function hostOfKey(key: string): string {
  return URL.parse(key)?.host || key;
}

function decodeEntry(entry: AuthEntry, registryHost: string, path: string): Credentials | undefined {
  if (entry.identitytoken) return { kind: "identity-token", identityToken: entry.identitytoken };
  if (entry.registrytoken) return { kind: "registry-token", registryToken: entry.registrytoken };
  if (entry.auth) {
    const text = Buffer.from(entry.auth, "base64").toString("utf8").replace(/\0+$/, "");
    const colon = text.indexOf(":");
    if (colon < 0) {
      throw new BuildError(
        "authentication",
        `Cannot use the credentials of "${registryHost}" in "${path}": they are not base64 of "user:password"`,
      );
    }
    return { kind: "password", username: text.slice(0, colon), password: text.slice(colon + 1) };
  }
  if (entry.username && entry.password !== undefined) {
    return { kind: "password", username: entry.username, password: entry.password };
  }
  return undefined;
}
