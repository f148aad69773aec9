import type { Readable } from "node:stream";
import type { SecureContext } from "node:tls";
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

export interface HttpResponse {
  readonly status: number;
  /** By lower-case name; of a repeated header the values stand with commas between. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Must be read to its end, or given to `discardBody()`, or destroyed. */
  readonly body: Dispatcher.ResponseData["body"];
  readonly url: URL;
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

  /** @throws what the network says: errors with a `code`, or the signal's reason. */
  async send(request: HttpRequest): Promise<HttpResponse> {
    const dispatcher = await this.#dispatcherFor(request.url, request.tls);
    const response = await dispatcher.request({
      origin: request.url.origin,
      path: request.url.pathname + request.url.search,
      method: request.method,
      headers: request.headers,
      body: (request.body as Readable | Uint8Array | undefined) ?? null,
      signal: request.signal,
    });
    // An abandoned body must not become an unhandled "error" event.
    response.body.on("error", () => {});
    const headers: Record<string, string | undefined> = {};
    for (const [name, value] of Object.entries(response.headers)) {
      headers[name.toLowerCase()] = Array.isArray(value) ? value.join(", ") : value;
    }
    return { status: response.statusCode, headers, body: response.body, url: request.url };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = [...this.#dispatchers.values()];
    this.#dispatchers.clear();
    for (const dispatcher of await Promise.allSettled(open)) {
      if (dispatcher.status === "fulfilled") await dispatcher.value.destroy();
    }
  }

  #dispatcherFor(url: URL, tls: TlsOptions): Promise<Dispatcher> {
    const proxy = chooseProxy(url, this.#environment);
    const key = JSON.stringify([proxy, url.protocol === "https:" ? tls : null]);
    let dispatcher = this.#dispatchers.get(key);
    if (dispatcher === undefined) {
      dispatcher = makeDispatcher(proxy, url.protocol === "https:" ? tls : undefined);
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
  const { Agent, ProxyAgent } = (await import("undici")).default;
  const options = { headersTimeout: ANSWER_TIMEOUT_MS, bodyTimeout: STALL_TIMEOUT_MS, allowH2: false };
  const connect = {
    timeout: CONNECT_TIMEOUT_MS,
    ...(tls && { rejectUnauthorized: tls.verify, secureContext: await makeSecureContext(tls) }),
  };
  if (proxy === undefined) return new Agent({ ...options, connect });
  return new ProxyAgent({ ...options, uri: proxy, requestTls: connect, proxyTunnel: tls !== undefined });
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
