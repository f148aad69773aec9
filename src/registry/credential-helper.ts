import { spawn } from "node:child_process";
import { BuildError } from "../errors/build-error.ts";
import type { Credentials } from "./credentials.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const HELPER_TIMEOUT_MS = 60_000;
/** What helpers answer instead of a user name when `Secret` is an identity token. */
const TOKEN_USER = "<token>";

/**
 * Asks `docker-credential-NAME get` (the protocol of docker-credential-helpers).
 *
 * @returns undefined when the helper has nothing for the registry.
 * @throws BuildError `authentication` when it is missing or fails.
 */
export async function askCredentialHelper(
  name: string,
  registryKey: string,
  environment: Environment,
): Promise<Credentials | undefined> {
  const { exitCode, output } = await runHelper(name, "get", { input: registryKey, environment });
  if (exitCode !== 0) {
    // Every helper says exactly this, on standard output.
    if (/credentials not found in native keychain/.test(output)) return undefined;
    throw helperFailed(name, "get", output || `it exits with ${exitCode}`);
  }
  let answer: { Username?: unknown; Secret?: unknown };
  try {
    answer = JSON.parse(output);
  } catch {
    throw helperFailed(name, "get", "its answer is not JSON");
  }
  const { Username: username, Secret: secret } = answer;
  if (typeof username !== "string" || typeof secret !== "string") {
    throw helperFailed(name, "get", 'its answer lacks "Username" or "Secret"');
  }
  if (username === TOKEN_USER) return { kind: "identity-token", identityToken: secret };
  return username === "" && secret === "" ? undefined : { kind: "password", username, password: secret };
}

/** `docker-credential-NAME store`: keeps a password under the registry's key. */
export async function storeInHelper(
  name: string,
  entry: { readonly key: string; readonly username: string; readonly password: string },
  environment: Environment,
): Promise<void> {
  const input = JSON.stringify({ ServerURL: entry.key, Username: entry.username, Secret: entry.password });
  const { exitCode, output } = await runHelper(name, "store", { input, environment });
  if (exitCode !== 0) throw helperFailed(name, "store", output || `it exits with ${exitCode}`);
}

/** `docker-credential-NAME erase`; false when it had nothing. */
export async function eraseInHelper(
  name: string,
  registryKey: string,
  environment: Environment,
): Promise<boolean> {
  const { exitCode, output } = await runHelper(name, "erase", { input: registryKey, environment });
  if (exitCode === 0) return true;
  if (/credentials not found/.test(output)) return false;
  throw helperFailed(name, "erase", output || `it exits with ${exitCode}`);
}

function helperFailed(name: string, verb: string, what: string): BuildError {
  return new BuildError(
    "authentication",
    `Cannot ${verb} credentials with "docker-credential-${name}": ${what}`,
  );
}

async function runHelper(
  name: string,
  verb: "get" | "store" | "erase",
  { input, environment }: { input: string; environment: Environment },
): Promise<{ exitCode: number | null; output: string }> {
  // A name is a file's name, not a path: the configuration may come from elsewhere.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) throw helperFailed(name, verb, "that is no program's name");
  const child = spawn(`docker-credential-${name}`, [verb], {
    env: { ...environment },
    stdio: ["pipe", "pipe", "inherit"],
    // Not `timeout`: its timer outlives a program that cannot be started, and keeps the process.
    signal: AbortSignal.timeout(HELPER_TIMEOUT_MS),
  });
  const closed = Promise.withResolvers<number | null>();
  child.once("error", closed.reject).once("close", closed.resolve);
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  // A helper that ends without reading its input is judged by its exit code.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  try {
    const exitCode = await closed.promise;
    return { exitCode, output: output.trim() };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ABORT_ERR") throw helperFailed(name, verb, `it does not answer in ${HELPER_TIMEOUT_MS} ms`);
    if (code !== "ENOENT") throw helperFailed(name, verb, String(code ?? error));
    throw new BuildError(
      "authentication",
      `Cannot ${verb} credentials with "docker-credential-${name}": there is no such program in PATH`,
      { hint: "Install it, or take it out of credsStore and credHelpers in docker's config.json" },
    );
  }
}
