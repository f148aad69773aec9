import { BuildError } from "../errors/build-error.ts";
import type { Credentials, CredentialsProvider } from "./credentials.ts";
import { discardBody, type HttpConnections, type HttpResponse, type TlsOptions } from "./http-connections.ts";
import { type Challenge, parseChallenges } from "./parse-challenge.ts";
import { loginHint, makeAnswerError } from "./registry-error.ts";
import { type RetryPolicy, sendWithRetries } from "./retry-policy.ts";
import { makeTransportError } from "./transport-error.ts";
import { untilAborted } from "./until-aborted.ts";

/**
 * Knows what one registry wants to see in Authorization: nothing until it has asked, then basic credentials or bearer tokens
 * (distribution's token and OAuth 2 specifications). One token for each set of scopes, until shortly before it expires.
 */
export interface Authorizer {
  /** The Authorization header for a request that needs the scopes; undefined while the registry has not asked for one. */
  authorize(scopes: readonly string[], signal?: AbortSignal): Promise<string | undefined>;
  /**
   * Takes in a 401 that answered a request with the header `used`. True when the request is worth repeating
   * with another header.
   */
  learn(response: HttpResponse, scopes: readonly string[], used: string | undefined): boolean;
  /** Whether there are credentials; false before anybody has asked for one. */
  hasCredentials(): boolean;
}

export interface AuthorizerOptions {
  readonly registry: string;
  readonly connections: HttpConnections;
  readonly credentials?: CredentialsProvider;
  readonly userAgent: string;
  readonly retries: RetryPolicy;
  /** For the token service, which may be another host. */
  readonly tlsFor: (url: URL) => Promise<TlsOptions>;
  /** The registry itself was reached by plain HTTP, so its token service may be, too. */
  readonly isPlainHttp: boolean;
}

interface Token {
  readonly text: string;
  readonly expiresAtMs: number;
}

/** The token specification's default; also what tokens have at least. */
const TOKEN_LIFETIME_SECONDS = 60;
const TOKEN_ANSWER_LIMIT = 1024 * 1024;

export function makeAuthorizer(options: AuthorizerOptions): Authorizer {
  const tokens = new Map<string, Promise<Token>>();
  /** What challenges named, by the scopes that they answered. The realm and the service belong to the registry. */
  const namedScopes = new Map<string, readonly string[]>();
  let challenge: Challenge | undefined;
  /** By repository: parts of a registry may have credentials of their own. */
  const credentials = new Map<string | undefined, Promise<Credentials | undefined>>();
  let isLoggedIn = false;

  const findCredentials = (scopes: readonly string[]) => {
    const repository = repositoryOf(scopes);
    const finding = credentials.get(repository) ?? lookUpCredentials(repository);
    credentials.set(repository, finding);
    return finding;
  };
  const lookUpCredentials = async (repository: string | undefined) => {
    const found = await options.credentials?.(options.registry, repository);
    isLoggedIn ||= found !== undefined;
    return found;
  };

  const findToken = async (scopes: readonly string[], asked: Challenge): Promise<Token> => {
    const key = keyOf(scopes);
    const known = tokens.get(key);
    if (known !== undefined) {
      const token = await known;
      if (token.expiresAtMs > Date.now()) return token;
      if (tokens.get(key) === known) tokens.delete(key);
    }
    // Several layers ask at the same time: the first one fetches, the others wait for its token.
    let pending = tokens.get(key);
    if (pending === undefined) {
      const wanted = mergeScopes([...scopes, ...(namedScopes.get(key) ?? [])]);
      pending = findCredentials(scopes).then((found) =>
        fetchToken(options, { challenge: asked, credentials: found, scopes: wanted }),
      );
      tokens.set(key, pending);
      pending.catch(() => tokens.delete(key));
    }
    return pending;
  };

  return {
    async authorize(scopes, signal) {
      if (challenge === undefined) return undefined;
      const found = await findCredentials(scopes);
      if (challenge.scheme === "basic") {
        return found?.kind === "password" ? formatBasic(found) : undefined;
      }
      if (found?.kind === "registry-token") return `Bearer ${found.registryToken}`;
      return `Bearer ${(await untilAborted(findToken(scopes, challenge), signal)).text}`;
    },
    learn(response, scopes, used) {
      const offered = parseChallenges(response.headers["www-authenticate"] ?? "");
      const chosen =
        offered.find(({ scheme, parameters }) => scheme === "bearer" && parameters.realm !== undefined) ??
        offered.find(({ scheme }) => scheme === "basic");
      if (chosen === undefined) return false;
      challenge = chosen;
      namedScopes.set(keyOf(scopes), splitScopes(chosen.parameters.scope));
      if (used === undefined) return true;
      // A bearer token may have expired early, or lack a scope that is named now; basic credentials do not get better.
      tokens.delete(keyOf(scopes));
      return chosen.scheme === "bearer" && used.startsWith("Bearer ");
    },
    hasCredentials: () => isLoggedIn,
  };
}

/** The first is what the request is about; a mount's second one is only read. */
function repositoryOf([scope]: readonly string[]): string | undefined {
  return /^repository:(.+):[^:]*$/.exec(scope ?? "")?.[1];
}

function keyOf(scopes: readonly string[]): string {
  return [...scopes].sort().join(" ");
}

/** One scope for each resource, with all its actions: `repository:a/b:pull,push`. */
function mergeScopes(scopes: readonly string[]): string[] {
  const actions = new Map<string, Set<string>>();
  for (const scope of scopes) {
    // A resource's name may have a host with a port.
    const colon = scope.lastIndexOf(":");
    const resource = scope.slice(0, colon);
    const known = actions.get(resource) ?? new Set();
    actions.set(resource, known);
    for (const action of scope.slice(colon + 1).split(",")) known.add(action);
  }
  return [...actions].map(([resource, set]) => `${resource}:${[...set].join(",")}`);
}

function formatBasic({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

interface TokenRequest {
  readonly challenge: Challenge;
  readonly credentials: Credentials | undefined;
  readonly scopes: readonly string[];
}

/** GET with basic credentials or none; an identity token is a refresh token and goes by POST. */
async function fetchToken(options: AuthorizerOptions, request: TokenRequest): Promise<Token> {
  const { registry, connections, userAgent } = options;
  const { challenge, credentials, scopes } = request;
  const url = parseRealm(challenge.parameters.realm ?? "", options);
  const service = challenge.parameters.service;
  const about = {
    action: `Cannot get a token for registry "${registry}" from "${url.origin}"`,
    registry,
    host: registry,
    hasCredentials: credentials !== undefined,
  };
  const headers: Record<string, string> = { accept: "application/json", "user-agent": userAgent };
  let body: Uint8Array | undefined;
  if (credentials?.kind === "identity-token") {
    const form = new URLSearchParams({
      grant_type: "refresh_token",
      client_id: "slipway",
      refresh_token: credentials.identityToken,
      ...(service === undefined ? {} : { service }),
      scope: scopes.join(" "),
    });
    headers["content-type"] = "application/x-www-form-urlencoded";
    body = Buffer.from(form.toString());
  } else {
    if (service !== undefined) url.searchParams.append("service", service);
    for (const scope of scopes) url.searchParams.append("scope", scope);
    if (credentials?.kind === "password") {
      headers.authorization = formatBasic(credentials);
      url.searchParams.append("account", credentials.username);
    }
  }
  const tls = await options.tlsFor(url);
  const method = body === undefined ? "GET" : "POST";
  const response = await sendWithRetries(() => connections.send({ method, url, headers, body, tls }), {
    policy: options.retries,
  }).catch((error: unknown) => {
    throw makeTransportError(error, about);
  });
  if (response.status !== 200) {
    const failure = await makeAnswerError(response, about);
    if (failure.code !== "authentication") throw failure;
    throw new BuildError("authentication", failure.message, {
      hint: loginHint({ registry, hasCredentials: credentials !== undefined }),
    });
  }
  return parseTokenAnswer(await readAnswer(response), about.action);
}

/** A registry reached by HTTPS must not send its users' passwords out in the clear. */
function parseRealm(realm: string, { registry, isPlainHttp }: AuthorizerOptions): URL {
  const url = URL.parse(realm);
  if (url !== null && (url.protocol === "https:" || (url.protocol === "http:" && isPlainHttp))) return url;
  throw new BuildError(
    "authentication",
    `Cannot log in to registry "${registry}": its token service "${realm}" is no HTTPS address`,
  );
}

/** Scopes are separated by blanks. */
function splitScopes(text: string | undefined): string[] {
  return (text ?? "").split(" ").filter((scope) => scope !== "");
}

async function readAnswer(response: HttpResponse): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of response.body as AsyncIterable<Uint8Array>) {
    size += piece.length;
    if (size > TOKEN_ANSWER_LIMIT) break;
    pieces.push(piece);
  }
  await discardBody(response);
  return Buffer.concat(pieces).toString("utf8");
}

function parseTokenAnswer(text: string, action: string): Token {
  let answer: Record<string, unknown> = {};
  try {
    answer = JSON.parse(text);
  } catch {
    // Said below.
  }
  const token = answer?.token || answer?.access_token;
  if (typeof token !== "string") {
    throw new BuildError("authentication", `${action}: its answer has no token`);
  }
  const lifetime = Math.max(Number(answer.expires_in) || 0, TOKEN_LIFETIME_SECONDS);
  // Renewed a little early: the request that carries it also takes time.
  return { text: token, expiresAtMs: Date.now() + lifetime * 900 };
}
