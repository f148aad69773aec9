import type { Readable } from "node:stream";
import type { SecureContext } from "node:tls";
import type * as Undici from "undici";
import type { Dispatcher } from "undici";
import { chooseProxy, type ProxyEnvironment } from "./choose-proxy.ts";

/** What TLS is to be made of for one host. Absent fields mean the public authorities and no client certificate. */
export interface TlsOptions {
  /** False accepts any certificate. */
  readonly verify: boolean;
  /** PEM texts of further authorities. */
  readonly authorities?: readonly string[];
  /** PEM texts of a client certificate and its key. */
  readonly client?: { readonly certificate: string; readonly key: string };
}

export type HttpBody = Uint8Array | Readable | AsyncIterable<Uint8Array>;

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: HttpBody;
  readonly tls: TlsOptions;
  readonly signal?: AbortSignal;
}

export interface HttpResponse extends Peer {
  readonly status: number;
  /** By lower-case name; of a repeated header the values stand with commas between. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Must be read to its end, or given to `discardBody()`, or destroyed. */
  readonly body: Dispatcher.ResponseData["body"];
}

/** The other end of a connection. */
export interface Peer {
  readonly url: URL;
  /** `host:port` of the proxy on the way there. */
  readonly proxy?: string;
  /** Whether a client certificate was shown. */
  readonly hasCertificate?: boolean;
}

/** The network failed; the cause, whose message this has, says how. */
export class ConnectionError extends Error {
  readonly peer: Peer;

  constructor(peer: Peer, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.peer = peer;
  }
}

const CONNECT_TIMEOUT_MS = 15_000;
/** Between a request's last byte and the answer's first: a registry may take long to store a big layer. */
const ANSWER_TIMEOUT_MS = 300_000;
/** Between two pieces of a body. */
const STALL_TIMEOUT_MS = 60_000;

/** Sends single requests: redirects, authorization and retries are decided above. Keeps connections open until disposed. */
export class HttpConnections implements AsyncDisposable {
  readonly #environment: ProxyEnvironment;
  readonly #dispatchers = new Map<string, Promise<Dispatcher>>();

  constructor(environment: ProxyEnvironment) {
    this.#environment = environment;
  }

  /** @throws ConnectionError, or the signal's reason. */
  async send(request: HttpRequest): Promise<HttpResponse> {
    const { url, tls, signal } = request;
    const proxy = chooseProxy(url, this.#environment);
    const peer: Peer = {
      url,
      proxy: proxy === undefined ? undefined : (URL.parse(proxy)?.host ?? proxy),
      hasCertificate: url.protocol === "https:" && tls.client !== undefined,
    };
    try {
      const dispatcher = await this.#dispatcherFor(proxy, url.protocol === "https:" ? tls : undefined);
      const response = await dispatcher.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method: request.method,
        headers: request.headers,
        body: (request.body as Readable | Uint8Array | undefined) ?? null,
        signal,
      });
      // An abandoned body must not become an unhandled "error" event.
      response.body.on("error", () => {});
      const headers: Record<string, string | undefined> = {};
      for (const [name, value] of Object.entries(response.headers)) {
        headers[name.toLowerCase()] = Array.isArray(value) ? value.join(", ") : value;
      }
      return { ...peer, status: response.statusCode, headers, body: response.body };
    } catch (cause) {
      signal?.throwIfAborted();
      throw new ConnectionError(peer, cause);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = [...this.#dispatchers.values()];
    this.#dispatchers.clear();
    for (const dispatcher of await Promise.allSettled(open)) {
      if (dispatcher.status === "fulfilled") await dispatcher.value.destroy();
    }
  }

  #dispatcherFor(proxy: string | undefined, tls: TlsOptions | undefined): Promise<Dispatcher> {
    const key = JSON.stringify([proxy, tls]);
    let dispatcher = this.#dispatchers.get(key);
    if (dispatcher === undefined) {
      dispatcher = makeDispatcher(proxy, tls);
      this.#dispatchers.set(key, dispatcher);
    }
    return dispatcher;
  }
}

/** Reads what is left of a small body so that its connection can be used again; cuts a long one. */
export async function discardBody(response: HttpResponse): Promise<void> {
  await response.body.dump({ limit: 65_536 }).catch(() => {});
}

async function makeDispatcher(proxy: string | undefined, tls: TlsOptions | undefined): Promise<Dispatcher> {
  // Here and not above: loading the client takes longer than most commands that never need it.
  // By its default: a bundler does not know the names that a CommonJS module exports.
  const { Agent, Pool, ProxyAgent, buildConnector } = (await import("undici")).default;
  const options = { headersTimeout: ANSWER_TIMEOUT_MS, bodyTimeout: STALL_TIMEOUT_MS, allowH2: false };
  const connect = {
    timeout: CONNECT_TIMEOUT_MS,
    ...(tls && { rejectUnauthorized: tls.verify, secureContext: await makeSecureContext(tls) }),
  };
  if (proxy === undefined) {
    return new Agent({ ...options, connect: keepAlerts(buildConnector({ ...connect, allowH2: false })) });
  }
  return new ProxyAgent({
    ...options,
    uri: proxy,
    requestTls: connect,
    proxyTunnel: tls !== undefined,
    // The only place where it lets one see the connections in its tunnels.
    factory: (origin, { connect, ...pool }: { connect: Connector }) =>
      new Pool(origin, { ...pool, connect: keepAlerts(connect) }),
  });
}

type Connector = ReturnType<typeof Undici.buildConnector>;

/**
 * A server may refuse a client's certificate, or want one, after the handshake (RFC 8446, 4.4.2.4). undici would only tell that the other
 * side closed, which it does next.
 */
function keepAlerts(connect: Connector): Connector {
  return (options, done) =>
    connect(options, (...result) => {
      const [, socket] = result;
      socket?.prependOnceListener("error", (error) => socket.destroy(error));
      done(...result);
    });
}

/**
 * Trusts Node's own list, the system's (where a company's authority is usually installed) and the given ones. Made once for all
 * connections, for reading some hundred certificates takes milliseconds.
 */
async function makeSecureContext({ verify, authorities = [], client }: TlsOptions): Promise<SecureContext> {
  const { createSecureContext, getCACertificates } = await import("node:tls");
  const ca = verify
    ? [...new Set([...getCACertificates("default"), ...getCACertificates("system"), ...authorities])]
    : undefined;
  return createSecureContext({ ca, cert: client?.certificate, key: client?.key });
}
