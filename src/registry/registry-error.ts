import { BuildError, type BuildErrorCode } from "../errors/build-error.ts";
import { discardBody, type HttpResponse } from "./http-connections.ts";
import { nameSide, PROXY_LOGIN_HINT } from "./transport-error.ts";

/** One entry of the distribution spec's error body (1.1, "Error Codes"). */
interface RegistryErrorEntry {
  readonly code: string;
  readonly message: string;
}

/** What was being done, for the message: `Cannot pull "localhost:5000/a:b"`. */
export interface RegistryAction {
  readonly action: string;
  readonly registry: string;
  /** `host[:port]` of its API, when that is known. Another that answers or fails is one that the registry points to. */
  readonly host?: string;
  /** What a 404 says is missing; an `image-not-found` when it is a manifest. */
  readonly missing?: "manifest" | "blob" | "repository";
  readonly hasCredentials?: boolean;
}

const ERROR_BODY_LIMIT = 65_536;
const STATUS_TEXT: Readonly<Record<number, string>> = {
  400: "bad request",
  401: "unauthorized",
  403: "forbidden",
  404: "not found",
  405: "method not allowed",
  413: "too large",
  416: "range not satisfiable",
  429: "too many requests",
  500: "internal server error",
  502: "bad gateway",
  503: "unavailable",
  504: "gateway timeout",
};

/** The error for an answer that is not the hoped-for one. Consumes the body. */
export async function makeAnswerError(response: HttpResponse, about: RegistryAction): Promise<BuildError> {
  const entries = await readErrorEntries(response);
  const { status } = response;
  const said = entries.map(({ code, message }) => [code, message].filter(Boolean).join(": ")).join("; ");
  const answer = `${status} ${STATUS_TEXT[status] ?? ""}`.trim() + (said === "" ? "" : ` (${said})`);
  const codes = new Set(entries.map((entry) => entry.code));
  const fail = (code: BuildErrorCode, what: string, hint?: string) =>
    new BuildError(code, `${about.action}: ${what}`, { hint });

  const side = nameSide(about, response);
  const isRegistry = side === `registry ${about.registry}`;
  if (response.proxy !== undefined && status === 407) {
    return fail("registry", `proxy ${response.proxy} answered ${answer}`, PROXY_LOGIN_HINT);
  }
  if (status === 401 || status === 403 || codes.has("DENIED") || codes.has("UNAUTHORIZED")) {
    return fail("authentication", `${side} answered ${answer}`, isRegistry ? loginHint(about) : undefined);
  }
  if (status === 404 || codes.has("MANIFEST_UNKNOWN") || codes.has("NAME_UNKNOWN")) {
    const missing = codes.has("NAME_UNKNOWN") ? "repository" : (about.missing ?? "page");
    const code = about.missing === "manifest" ? "image-not-found" : "registry";
    const hint =
      entries.length > 0 || !isRegistry
        ? undefined
        : `What answers there may be no registry: check the host and the port of ${about.registry}`;
    return fail(code, `${side} has no such ${missing}: it answered ${answer}`, hint);
  }
  if (status === 429) {
    return fail("registry", `${side} answered ${answer}`, "Wait, or log in for a higher limit");
  }
  if (status === 400 && /HTTPS/i.test(said)) return fail("registry", `${side} speaks HTTPS, not plain HTTP`);
  const isGateways =
    response.proxy !== undefined && response.url.protocol === "http:" && /^50[234]$/.test(`${status}`);
  const who = isGateways ? `proxy ${response.proxy} on the way to ${side}` : side;
  return fail("registry", `${who} answered ${answer}`);
}

/** One line of advice for who was refused. */
export function loginHint(about: Pick<RegistryAction, "registry" | "hasCredentials">): string {
  return about.hasCredentials
    ? `The registry refuses the stored credentials. Log in again with: slipway login ${about.registry}`
    : `Check the name, or log in with: slipway login ${about.registry}`;
}

/** The body's `errors`, or its text (its first line) when it is not what the spec says. */
async function readErrorEntries(response: HttpResponse): Promise<RegistryErrorEntry[]> {
  const length = Number(response.headers["content-length"] ?? 0);
  if (length > ERROR_BODY_LIMIT) {
    await discardBody(response);
    return [];
  }
  const text = await readLimited(response).catch(() => "");
  try {
    const parsed: unknown = JSON.parse(text);
    const { errors, error, message, details } = (parsed ?? {}) as Record<string, unknown>;
    if (Array.isArray(errors)) {
      return errors.map((entry) => ({ code: textOf(entry?.code), message: textOf(entry?.message) }));
    }
    return [{ code: "", message: textOf(details ?? message ?? error) }].filter(
      (entry) => entry.message !== "",
    );
  } catch {
    const line = text.trim().split("\n")[0] ?? "";
    return line === "" || line.startsWith("<") ? [] : [{ code: "", message: textOf(line) }];
  }
}

async function readLimited(response: HttpResponse): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of response.body as AsyncIterable<Uint8Array>) {
    pieces.push(piece);
    size += piece.length;
    if (size > ERROR_BODY_LIMIT) break;
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** A registry's text on one line, without control characters: it goes to a terminal. */
function textOf(value: unknown): string {
  if (typeof value !== "string") return "";
  return value
    .replace(/[\s\x00-\x1f\x7f-\x9f]+/g, " ")
    .trim()
    .slice(0, 500);
}
