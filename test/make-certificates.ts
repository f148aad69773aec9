import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** For `test(name, { skip: opensslMissing })`. */
export const opensslMissing: string | false = existsSync("/usr/bin/openssl")
  ? false
  : "openssl is missing (apt-get install openssl)";

/** PEM files. */
export interface TestCertificates extends AsyncDisposable {
  readonly directory: string;
  readonly authority: string;
  /** For `127.0.0.1`, `localhost` and `registry.test`, signed by the authority. */
  readonly server: { readonly certificatePath: string; readonly keyPath: string };
  /** As `server`, but it was valid on one day of 2020. */
  readonly expired: { readonly certificatePath: string; readonly keyPath: string };
  /** For client authentication, signed by the authority. */
  readonly client: { readonly certificatePath: string; readonly keyPath: string };
}

/** Makes an authority that nobody knows, and what it signed. Disposing removes the files. */
export async function makeCertificates(): Promise<TestCertificates> {
  const directory = await mkdtemp(join(tmpdir(), "slipway-certificates-"));
  const path = (name: string) => join(directory, name);
  const openssl = (...args: string[]) => run("openssl", args, { cwd: directory });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await openssl(
    "req",
    "-x509",
    ...newKey,
    "-keyout",
    "ca.key",
    "-out",
    "ca.crt",
    "-days",
    "2",
    "-subj",
    "/CN=test authority",
  );
  await writeFile(
    path("ca.conf"),
    "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=any\n[any]\nCN=supplied\n",
  );
  await writeFile(path("index"), "");
  await writeFile(path("serial"), "01\n");
  const ONE_DAY = "-startdate 20200101000000Z -enddate 20200102000000Z".split(" ");
  const sign = async (name: string, extensions: string, { isExpired = false } = {}) => {
    await writeFile(path(`${name}.ext`), extensions);
    await openssl(
      "req",
      ...newKey,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.csr`,
      "-subj",
      `/CN=test ${name}`,
    );
    if (isExpired) {
      const files = ["-in", `${name}.csr`, "-out", `${name}.cert`, "-extfile", `${name}.ext`];
      const authority = "ca -batch -config ca.conf -cert ca.crt -keyfile ca.key -notext".split(" ");
      await openssl(...authority, ...ONE_DAY, ...files);
    } else
      await openssl(
        ..."x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 2".split(" "),
        ...["-in", `${name}.csr`, "-out", `${name}.cert`, "-extfile", `${name}.ext`],
      );
    return { certificatePath: path(`${name}.cert`), keyPath: path(`${name}.key`) };
  };
  return {
    directory,
    authority: path("ca.crt"),
    server: await sign("server", "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:registry.test"),
    expired: await sign("expired", "subjectAltName=IP:127.0.0.1", { isExpired: true }),
    client: await sign("client", "extendedKeyUsage=clientAuth"),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}
