import { BuildError } from "../errors/build-error.ts";
import { type AuthFile, dockerConfigPath, readAuthFile, writeAuthFile } from "./auth-file.ts";
import { eraseInHelper, storeInHelper } from "./credential-helper.ts";
import { credentialKey, type StoredCredentialsOptions } from "./credentials.ts";
import { makeRegistryClient, type RegistryClientOptions } from "./registry-client.ts";

export interface LoginOptions extends StoredCredentialsOptions {
  readonly username: string;
  readonly password: string;
  /** How to reach the registry; its `credentials` are not looked at. */
  readonly client?: RegistryClientOptions;
  readonly signal?: AbortSignal;
}

/**
 * Tries the credentials at the registry and stores them as docker does: with the helper that the file names, else in `auths`.
 *
 * @returns where they are now: a file's path or a helper program's name, and whether they lie there unencrypted.
 * @throws BuildError `authentication` when the registry refuses them; then nothing is stored.
 */
export async function login(
  registryHost: string,
  options: LoginOptions,
): Promise<{ readonly storedIn: string; readonly isPlainText: boolean }> {
  const { username, password, signal } = options;
  const environment = options.environment ?? process.env;
  await using client = makeRegistryClient({
    ...options.client,
    credentials: async () => ({ kind: "password", username, password }),
  });
  await client.ping(registryHost, { signal }).catch((error: unknown) => {
    if (!(error instanceof BuildError) || error.code !== "authentication") throw error;
    // They are not stored ones, as elsewhere.
    const hint = "The user name or the password is wrong";
    throw new BuildError(error.code, error.message, { hint, cause: error });
  });

  const path = authFilePath(options);
  const content = (await readAuthFile(path))?.content ?? {};
  const key = credentialKey(registryHost);
  const helper = content.credHelpers?.[registryHost] ?? content.credHelpers?.[key] ?? content.credsStore;
  if (helper) {
    await storeInHelper(helper, { key, username, password }, environment);
    // docker leaves an empty entry, by which it knows where one is logged in.
    await writeAuthFile({ path, content: { ...content, auths: { ...content.auths, [key]: {} } } });
    return { storedIn: `docker-credential-${helper}`, isPlainText: false };
  }
  if (username.includes(":")) {
    throw new BuildError("option-invalid", `Cannot store the user name "${username}": it has a colon`);
  }
  const auth = Buffer.from(`${username}:${password}`).toString("base64");
  await writeAuthFile({ path, content: { ...content, auths: { ...content.auths, [key]: { auth } } } });
  return { storedIn: path, isPlainText: true };
}

/** Removes a registry's credentials from the file and its helper; false when there were none. */
export async function logout(registryHost: string, options: StoredCredentialsOptions = {}): Promise<boolean> {
  const path = authFilePath(options);
  const content = (await readAuthFile(path))?.content;
  if (content === undefined) return false;
  const key = credentialKey(registryHost);
  const helper = content.credHelpers?.[registryHost] ?? content.credHelpers?.[key] ?? content.credsStore;
  const wasHeld = helper ? await eraseInHelper(helper, key, options.environment ?? process.env) : false;
  const { [key]: removed, ...auths } = content.auths ?? {};
  if (removed !== undefined) {
    const next: AuthFile = { ...content, auths };
    await writeAuthFile({ path, content: next });
  }
  return wasHeld || removed !== undefined;
}

function authFilePath(options: StoredCredentialsOptions): string {
  const environment = options.environment ?? process.env;
  return options.authFile ?? (environment.REGISTRY_AUTH_FILE || dockerConfigPath(environment));
}
