import { STATUS_CODES } from "node:http";
import { BuildError } from "../errors/build-error.ts";
import {
  ConnectionError,
  discardBody,
  type HttpConnections,
  type HttpResponse,
} from "../registry/http-connections.ts";
import { DEFAULT_RETRIES, type RetryPolicy, sendWithRetries } from "../registry/retry-policy.ts";
import { codeOf, findFailedProxy } from "../registry/transport-error.ts";
import { redactUrl } from "./url-text.ts";

const REDIRECTS_MAX = 10;
const REDIRECT_STATUS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export interface UrlRequest {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Stays with the origin that it is meant for: no other host that is redirected to sees it. */
  readonly authorization?: string;
  /** What comes is verified by a digest, so it may come from anywhere. */
  readonly isVerified?: boolean;
  readonly retries?: RetryPolicy;
  readonly signal?: AbortSignal;
}

/**
 * GETs a URL: follows redirects, sends again what may pass. Any status may come back.
 *
 * @throws BuildError `fetch-failed`; the signal's reason.
 */
export async function fetchUrl(connections: HttpConnections, request: UrlRequest): Promise<HttpResponse> {
  const { retries: policy = DEFAULT_RETRIES, signal } = request;
  try {
    return await sendWithRetries(() => follow(connections, request), { policy, signal });
  } catch (error) {
    throw makeFetchError(error, request);
  }
}

async function follow(connections: HttpConnections, request: UrlRequest): Promise<HttpResponse> {
  let { url, authorization } = request;
  for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
    if (url.origin !== request.url.origin) authorization = undefined;
    const response = await connections.send({
      method: "GET",
      url,
      headers: {
        "user-agent": "slipway",
        // The bytes as they are; lengths, ranges and digests mean nothing else.
        "accept-encoding": "identity",
        ...request.headers,
        ...(authorization === undefined ? {} : { authorization }),
      },
      tls: { verify: true },
      signal: request.signal,
    });
    const { location } = response.headers;
    if (!REDIRECT_STATUS.has(response.status) || location === undefined) return response;
    await discardBody(response);
    url = checkRedirect(request, url, location);
  }
  throw fetchError(request, `the server redirects more than ${REDIRECTS_MAX} times`);
}

function checkRedirect(request: UrlRequest, from: URL, location: string): URL {
  const next = URL.parse(location, from.href);
  if (next === null || !/^https?:$/.test(next.protocol)) {
    throw fetchError(request, `the server redirects to "${redactUrl(location)}", which is no HTTP address`);
  }
  if (from.protocol === "https:" && next.protocol === "http:" && !request.isVerified) {
    throw fetchError(
      request,
      `the server redirects from HTTPS to plain HTTP at ${next.host}`,
      "Give its digest with --checksum, if that is what you want",
    );
  }
  return next;
}

/** The error for an answer that has not the file. Consumes the body. */
export async function makeStatusError(response: HttpResponse, request: UrlRequest): Promise<BuildError> {
  await discardBody(response);
  const { status } = response;
  const said = `${response.url.host} answered ${status} ${STATUS_CODES[status] ?? ""}`.trim();
  const name = `HTTP_AUTH_TOKEN.${request.url.host}`;
  const hint =
    status === 401 || status === 403
      ? `Give it a token with --secret id=${name},env=NAME, or a whole header with id=HTTP_AUTH_HEADER.${request.url.host}`
      : undefined;
  return fetchError(request, said, hint);
}

/** The error for a connection that could not be made or broke; a bug and an error that says enough come back as they are. */
export function makeFetchError(cause: unknown, request: UrlRequest): unknown {
  if (request.signal?.aborted) return request.signal.reason;
  const code = codeOf(cause);
  if (cause instanceof BuildError || code === "") return cause;
  const proxy = cause instanceof ConnectionError ? findFailedProxy(cause, cause.peer) : undefined;
  const host = proxy === undefined ? request.url.host : `proxy ${proxy}`;
  if (code === "ECONNREFUSED") return fetchError(request, `${host} refuses the connection`, undefined, cause);
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    const what = `the host ${host} is not known to the name server (${code})`;
    return fetchError(request, what, "Check the spelling and the network", cause);
  }
  const { message } = cause as Error;
  if (/^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS_CERT)/.test(code)) {
    const hint = "Install its authority on this machine, or name it with NODE_EXTRA_CA_CERTS";
    return fetchError(request, `the certificate of ${host} is not trusted: ${message}`, hint, cause);
  }
  return fetchError(request, `the connection to ${host} failed: ${message}`, undefined, cause);
}

function fetchError({ url }: UrlRequest, what: string, hint?: string, cause?: unknown): BuildError {
  return new BuildError("fetch-failed", `Cannot download "${redactUrl(url)}": ${what}`, { hint, cause });
}
