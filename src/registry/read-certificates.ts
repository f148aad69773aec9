import { readdir, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import type { TlsOptions } from "./http-connections.ts";

/** Where docker and podman look, the first that has the host's directory wins. */
function listDefaultDirectories(): string[] {
  return [
    join(homedir(), ".config/containers/certs.d"),
    "/etc/containers/certs.d",
    join(homedir(), ".docker/certs.d"),
    "/etc/docker/certs.d",
  ];
}

/**
 * The certificates for one registry, in docker's `certs.d` layout: `DIRECTORY/HOST[:PORT]/` with authorities in `*.crt`
 * and a client's certificate in `NAME.cert` beside its key in `NAME.key`.
 *
 * @throws BuildError `option-invalid` when half of a pair is missing.
 */
export async function readCertificates(
  host: string,
  directories: readonly string[] = listDefaultDirectories(),
): Promise<Omit<TlsOptions, "verify">> {
  for (const parent of directories) {
    const directory = join(parent, host);
    const names = await readdir(directory).catch(() => undefined);
    if (names !== undefined) return readHostDirectory(directory, names.sort());
  }
  return {};
}

/**
 * The certificates in one directory: `*.crt`, `*.cert` and `*.key`.
 *
 * @throws BuildError `option-invalid` when it cannot be read or half of a pair is missing.
 */
export async function readHostCertificates(directory: string): Promise<Omit<TlsOptions, "verify">> {
  const names = await readdir(directory).catch((cause: Error) => {
    throw new BuildError(
      "option-invalid",
      `Cannot read the certificates of "${directory}": ${cause.message}`,
      {
        cause,
      },
    );
  });
  return readHostDirectory(directory, names.sort());
}

async function readHostDirectory(directory: string, names: string[]): Promise<Omit<TlsOptions, "verify">> {
  const read = (name: string) => readFile(join(directory, name), "utf8");
  const authorities = await Promise.all(names.filter((name) => name.endsWith(".crt")).map(read));
  const certificateName = names.find((name) => name.endsWith(".cert"));
  const keyOnly = names.find(
    (name) => name.endsWith(".key") && !names.includes(name.replace(/key$/, "cert")),
  );
  if (keyOnly !== undefined) throw missingHalf(directory, keyOnly, keyOnly.replace(/key$/, "cert"));
  if (certificateName === undefined) return { authorities };
  const keyName = certificateName.replace(/cert$/, "key");
  if (!names.includes(keyName)) throw missingHalf(directory, certificateName, keyName);
  return { authorities, client: { certificate: await read(certificateName), key: await read(keyName) } };
}

function missingHalf(directory: string, present: string, missing: string): BuildError {
  return new BuildError(
    "option-invalid",
    `Cannot use the client certificate "${join(directory, present)}": there is no "${missing}" beside it`,
  );
}
