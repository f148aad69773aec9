import { BuildError } from "../errors/build-error.ts";
import { DEFAULT_LIMITS, type InputLimits } from "../errors/input-limits.ts";
import { type Authorizer, makeAuthorizer } from "./authorizer.ts";
import type { CredentialsProvider } from "./credentials.ts";
import {
  discardBody,
  type HttpBody,
  type HttpConnections,
  type HttpRequest,
  type HttpResponse,
  type TlsOptions,
} from "./http-connections.ts";
import type { RegistryAction } from "./registry-error.ts";
import { listRegistryOrigins, type RegistryHostOptions, type RegistryOrigin } from "./registry-host.ts";
import { type RetryPolicy, sendWithRetries } from "./retry-policy.ts";
import { codeOf, isPlainHttpAnswer, makeTransportError } from "./transport-error.ts";
import { untilAborted } from "./until-aborted.ts";

interface RegistryRequest {
  readonly method: HttpRequest["method"];
  /** Below the registry's origin, or the address that it gave (an upload's Location). */
  readonly target: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called again for each attempt. */
  readonly body?: () => HttpBody;
  /** What a bearer token must allow: `repository:library/alpine:pull`. */
  readonly scopes: readonly string[];
  readonly signal?: AbortSignal;
  /** Begins the message of an error: `Cannot pull "localhost:5000/a:b"`. */
  readonly action: string;
  /** False where the caller repeats by itself: network errors then come through as they are. */
  readonly retry?: false;
}

export interface SessionOptions extends RegistryHostOptions {
  readonly registry: string;
  readonly connections: HttpConnections;
  readonly credentials?: CredentialsProvider;
  readonly userAgent: string;
  readonly retries: RetryPolicy;
  readonly limits?: InputLimits;
  /** TLS of a host: its authorities and client certificate. */
  readonly tlsFor: (host: string, verify: boolean) => Promise<TlsOptions>;
}

/** One registry: where its API is, what it wants for authorization, and how often to ask again. */
export interface RegistrySession {
  /**
   * Sends a request, answers a 401, follows redirects, repeats what may pass. Any status may come back, the caller judges it.
   * @throws BuildError `registry` or `authentication`; the signal's reason.
   */
  request(request: RegistryRequest): Promise<HttpResponse>;
  readonly limits: InputLimits;
  /** How often the caller may repeat what it does by itself. */
  readonly retries: RetryPolicy;
  /** For the errors of the caller. */
  about(action: string, missing?: RegistryAction["missing"]): RegistryAction;
}

interface Endpoint extends RegistryOrigin {
  readonly authorizer: Authorizer;
}

const REDIRECTS_MAX = 10;
const REDIRECT_STATUS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export function makeRegistrySession(options: SessionOptions): RegistrySession {
  const { registry, connections, retries, limits = DEFAULT_LIMITS } = options;
  let found: Promise<Endpoint> | undefined;
  let endpoint: Endpoint | undefined;

  const about = (action: string, missing?: RegistryAction["missing"]): RegistryAction => ({
    action,
    registry,
    missing,
    host: endpoint?.url.host,
    hasCredentials: endpoint?.authorizer.hasCredentials(),
  });

  const findEndpoint = async (signal?: AbortSignal): Promise<Endpoint> => {
    signal?.throwIfAborted();
    if (found === undefined) {
      // Shared by all requests, so not bound to the signal of one; a failure is not kept.
      found = findOrigin(options).then((origin) => {
        endpoint = { ...origin, authorizer: authorizerFor(options, origin) };
        return endpoint;
      });
      found.catch(() => {
        found = undefined;
      });
    }
    return untilAborted(found, signal);
  };

  const attempt = async (request: RegistryRequest): Promise<HttpResponse> => {
    const { url: origin, verifyTls, authorizer } = await findEndpoint(request.signal);
    const target = new URL(String(request.target), origin);
    const isOwn = target.origin === origin.origin;
    for (let round = 0; ; round++) {
      const authorization = isOwn ? await authorizer.authorize(request.scopes, request.signal) : undefined;
      const response = await follow(request, { target, origin, verifyTls, authorization });
      const isAsked = isOwn && response.status === 401 && response.url.origin === origin.origin;
      if (!isAsked || round >= 2 || !authorizer.learn(response, request.scopes, authorization))
        return response;
      await discardBody(response);
    }
  };

  /** One exchange and its redirects; Authorization stays with the registry, and is not taken up again on the way back to it. */
  const follow = async (
    request: RegistryRequest,
    start: { target: URL; origin: URL; verifyTls: boolean; authorization: string | undefined },
  ): Promise<HttpResponse> => {
    let { target: url, authorization } = start;
    for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
      const isOwn = url.origin === start.origin.origin;
      if (!isOwn) authorization = undefined;
      const response = await connections.send({
        method: request.method,
        url,
        headers: {
          "user-agent": options.userAgent,
          ...request.headers,
          ...(authorization === undefined ? {} : { authorization }),
        },
        body: request.body?.(),
        // An insecure registry does not make the hosts that it points to insecure.
        tls: await options.tlsFor(url.host, isOwn ? start.verifyTls : options.tlsVerify !== false),
        signal: request.signal,
      });
      const location = response.headers.location;
      const isRead = request.method === "GET" || request.method === "HEAD";
      // Others would become a GET by the older ones (RFC 9110, 15.4).
      const canFollow = isRead || response.status === 307 || response.status === 308;
      if (!canFollow || !REDIRECT_STATUS.has(response.status) || location === undefined) return response;
      await discardBody(response);
      const next = URL.parse(location, url.href);
      if (next === null || !/^https?:$/.test(next.protocol)) {
        throw new BuildError(
          "registry",
          `${request.action}: registry ${registry} redirects to "${location}", which is no HTTP address`,
        );
      }
      if (url.protocol === "https:" && next.protocol === "http:") {
        throw new BuildError(
          "registry",
          `${request.action}: registry ${registry} redirects from HTTPS to plain HTTP at ${next.host}`,
        );
      }
      url = next;
    }
    throw new BuildError(
      "registry",
      `${request.action}: registry ${registry} redirects more than ${REDIRECTS_MAX} times`,
    );
  };

  return {
    about,
    retries,
    limits,
    async request(request) {
      const policy = request.retry === false ? { count: 0, delayMs: 0 } : retries;
      try {
        return await sendWithRetries(() => attempt(request), { policy, signal: request.signal });
      } catch (error) {
        request.signal?.throwIfAborted();
        if (error instanceof BuildError || request.retry === false) throw error;
        throw makeTransportError(error, about(request.action));
      }
    },
  };
}

function authorizerFor(options: SessionOptions, origin: RegistryOrigin): Authorizer {
  const { registry, connections, credentials, userAgent, tlsFor } = options;
  return makeAuthorizer({
    registry,
    connections,
    credentials,
    userAgent,
    retries: options.retries,
    isPlainHttp: origin.url.protocol === "http:",
    tlsFor: (url) =>
      tlsFor(url.host, url.host === origin.url.host ? origin.verifyTls : options.tlsVerify !== false),
  });
}

/** Asks where there is a choice; a registry that must be HTTPS is not asked. */
async function findOrigin(options: SessionOptions): Promise<RegistryOrigin> {
  const origins = listRegistryOrigins(options.registry, options);
  if (origins.length === 1) return origins[0]!;
  let failure: unknown;
  for (const origin of origins) {
    try {
      const response = await options.connections.send({
        method: "GET",
        url: new URL("/v2/", origin.url),
        headers: { "user-agent": options.userAgent },
        tls: await options.tlsFor(origin.url.host, origin.verifyTls),
      });
      // What servers of HTTPS say to plain HTTP; no registry answers a ping with 400.
      const isWrongProtocol = response.status === 400 && origin.url.protocol === "http:";
      await discardBody(response);
      if (!isWrongProtocol) return origin;
    } catch (error) {
      // "Refused" and "speaks plain HTTP" say the least, so what another origin says counts more.
      if (failure === undefined || isPlainHttpAnswer(failure) || codeOf(failure) === "ECONNREFUSED") {
        failure = error;
      }
    }
  }
  throw failure ?? new Error(`no origin of ${options.registry} answers as a registry does`);
}
