import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { BuildError } from "../errors/build-error.ts";

/** Where a docker engine listens: a socket, or a host that speaks HTTP or, with `tls`, HTTPS. */
export interface EngineAddress {
  /** As docker writes it: `unix:///var/run/docker.sock`, `tcp://host:2375`. */
  readonly text: string;
  readonly target: { readonly socketPath: string } | { readonly host: string; readonly port: number };
  /** PEM texts. */
  readonly tls?: {
    readonly ca?: Buffer;
    readonly cert?: Buffer;
    readonly key?: Buffer;
    readonly isVerified: boolean;
  };
}

const DEFAULT_ENGINE = "unix:///var/run/docker.sock";

/**
 * The engine that `DOCKER_HOST` names (with `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`), else the usual socket.
 *
 * @throws BuildError `option-invalid`, `unsupported` for ssh.
 */
export function findEngine(env: NodeJS.ProcessEnv): EngineAddress {
  const text = env.DOCKER_HOST || DEFAULT_ENGINE;
  const socketPath = /^unix:\/\/(.+)$/.exec(text)?.[1];
  if (socketPath !== undefined) return { text, target: { socketPath } };
  if (text.startsWith("ssh://")) {
    throw new BuildError(
      "unsupported",
      `Cannot use DOCKER_HOST "${text}": only sockets and TCP are there yet`,
      {
        hint: "Pipe an archive instead: slipway build -o type=docker,dest=- . | docker load",
      },
    );
  }
  const url = /^(?:tcp|http|https):\/\//.test(text) ? URL.parse(text.replace(/^\w+/, "http")) : null;
  if (url === null || url.hostname === "") {
    throw new BuildError(
      "option-invalid",
      `Cannot use DOCKER_HOST "${text}": it is neither unix:///PATH nor tcp://HOST:PORT`,
    );
  }
  const isVerified = Boolean(env.DOCKER_TLS_VERIFY);
  const hasTls = isVerified || Boolean(env.DOCKER_TLS) || text.startsWith("https://");
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = Number(url.port || (hasTls ? 2376 : 2375));
  if (!hasTls) return { text, target: { host, port } };
  const directory = env.DOCKER_CERT_PATH || join(env.DOCKER_CONFIG || join(homedir(), ".docker"));
  const read = (name: string) => {
    try {
      return readFileSync(join(directory, name));
    } catch {
      return undefined;
    }
  };
  const tls = { ca: read("ca.pem"), cert: read("cert.pem"), key: read("key.pem"), isVerified };
  return { text, target: { host, port }, tls };
}
