import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Debian's `docker-registry`, running. */
export interface RunningRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** Its log, which has a line for every request. */
  readonly logPath: string;
  /** Its storage. */
  readonly directory: string;
}

export interface StartRegistryOptions {
  /** Where blobs are kept; a temporary directory, removed at the end, when absent. */
  readonly directory?: string;
  /** Asks for user `tester` with password `secret` (`true`), or for those of an htpasswd text (bcrypt lines). */
  readonly htpasswd?: true | string;
  /** Speaks TLS with this certificate (PEM files). `clientCas`: asks for client certificates that these authorities signed. */
  readonly tls?: {
    readonly certificatePath: string;
    readonly keyPath: string;
    readonly clientCas?: readonly string[];
  };
  /** A token service: the registry asks for bearer tokens of `realm`, signed by `rootCertificatePath`. */
  readonly token?: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    readonly rootCertificatePath: string;
  };
  /** Believes that it is reached by plain HTTP, as registries behind a proxy that ends TLS often do. */
  readonly believesPlainHttp?: boolean;
  /** Takes manifests with foreign layers. */
  readonly takesForeignLayers?: boolean;
  /** Lets blobs and manifests be deleted. */
  readonly canDelete?: boolean;
}

const PROGRAM = "/usr/bin/docker-registry";
/** bcrypt of "secret", cost 5. */
const TESTER = "tester:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/** For `test(name, { skip: registryMissing })`: false, or the reason why the registry cannot be started. */
export const registryMissing: string | false = existsSync(PROGRAM)
  ? false
  : "docker-registry is missing (apt-get install docker-registry)";

/** Starts a registry on a free port of loopback; disposing ends it and removes what it made. */
export async function startRegistry(options: StartRegistryOptions = {}): Promise<RunningRegistry> {
  // Between finding a free port and taking it, another test may take it.
  for (let attempt = 0; ; attempt++) {
    try {
      return await tryStart(options);
    } catch (error) {
      if (attempt === 3 || !/address already in use/.test(String(error))) throw error;
    }
  }
}

async function tryStart(options: StartRegistryOptions): Promise<RunningRegistry> {
  const work = await mkdtemp(join(tmpdir(), "slipway-registry-"));
  const directory = options.directory ?? join(work, "storage");
  const logPath = join(work, "log");
  const host = `127.0.0.1:${await findFreePort()}`;
  const configPath = join(work, "config.json");
  if (options.htpasswd !== undefined) {
    await writeFile(join(work, "htpasswd"), options.htpasswd === true ? TESTER : options.htpasswd);
  }
  // YAML is a superset of JSON.
  await writeFile(configPath, JSON.stringify(makeConfig({ options, host, directory, work })));

  const log = await open(logPath, "w");
  const child = spawn(PROGRAM, ["serve", configPath], { stdio: ["ignore", log.fd, log.fd] });
  await log.close();
  const ended = once(child, "exit");
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await ended;
    }
    await rm(work, { recursive: true, force: true });
  };
  // It says so when it has its port; to connect would be no proof that it is this one that answers.
  for (let waited = 0; waited < 10_000; waited += 20) {
    const text = await readFile(logPath, "utf8");
    if (text.includes("listening on")) return { host, logPath, directory, [Symbol.asyncDispose]: stop };
    if (child.exitCode !== null) break;
    await sleep(20);
  }
  const text = await readFile(logPath, "utf8");
  await stop();
  throw new Error(`docker-registry does not start:\n${text}`);
}

function makeConfig(input: { options: StartRegistryOptions; host: string; directory: string; work: string }) {
  const { options, host, directory, work } = input;
  const { tls, token } = options;
  return {
    version: 0.1,
    compatibility: { schema1: { enabled: true } },
    log: { accesslog: { disabled: false }, level: "info" },
    storage: {
      filesystem: { rootdirectory: directory },
      delete: { enabled: options.canDelete ?? false },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: {
      addr: host,
      ...(options.believesPlainHttp && { host: `http://${host}` }),
      secret: "not a secret",
      ...(tls && {
        tls: {
          certificate: tls.certificatePath,
          key: tls.keyPath,
          ...(tls.clientCas && { clientcas: tls.clientCas }),
        },
      }),
    },
    ...(options.takesForeignLayers && { validation: { manifests: { urls: { allow: ["^https://"] } } } }),
    ...(options.htpasswd !== undefined && {
      auth: { htpasswd: { realm: "test", path: join(work, "htpasswd") } },
    }),
    ...(token && {
      auth: {
        token: {
          realm: token.realm,
          service: token.service,
          issuer: token.issuer,
          rootcertbundle: token.rootCertificatePath,
        },
      },
    }),
  };
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
