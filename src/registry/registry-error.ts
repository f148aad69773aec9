import { BuildError, type BuildErrorCode } from "../errors/build-error.ts";
import { discardBody, type HttpResponse } from "./http-connections.ts";

/** One entry of the distribution spec's error body (1.1, "Error Codes"). */
interface RegistryErrorEntry {
  readonly code: string;
  readonly message: string;
}

/** What was being done, for the message: `Cannot pull "localhost:5000/a:b"`. */
export interface RegistryAction {
  readonly action: string;
  readonly registry: string;
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

  if (status === 401 || status === 403 || codes.has("DENIED") || codes.has("UNAUTHORIZED")) {
    return fail("authentication", `registry ${about.registry} answered ${answer}`, loginHint(about));
  }
  if (status === 404 || codes.has("MANIFEST_UNKNOWN") || codes.has("NAME_UNKNOWN")) {
    const missing = codes.has("NAME_UNKNOWN") ? "repository" : (about.missing ?? "page");
    const code = about.missing === "manifest" ? "image-not-found" : "registry";
    const hint =
      entries.length > 0
        ? undefined
        : `What answers there may be no registry: check the host and the port of ${about.registry}`;
    return fail(code, `registry ${about.registry} has no such ${missing}: it answered ${answer}`, hint);
  }
  if (status === 429) {
    return fail(
      "registry",
      `registry ${about.registry} answered ${answer}`,
      "Wait, or log in for a higher limit",
    );
  }
  if (status === 400 && /HTTPS/i.test(said)) {
    return fail("registry", `registry ${about.registry} speaks HTTPS, not plain HTTP`);
  }
  return fail("registry", `registry ${about.registry} answered ${answer}`);
}

/** One line of advice for who was refused. */
export function loginHint(about: Pick<RegistryAction, "registry" | "hasCredentials">): string {
  return about.hasCredentials
    ? `The registry refuses the stored credentials. Log in again with: slipway login ${about.registry}`
    : `Check the name, or log in with: slipway login ${about.registry}`;
}

/** The error for a connection that could not be made or broke; a bug comes back as it is. */
export function makeTransportError(cause: unknown, about: RegistryAction): unknown {
  const isBug =
    codeOf(cause) === "" &&
    (cause instanceof TypeError || cause instanceof ReferenceError || cause instanceof RangeError);
  if (isBug) return cause;
  const { code, what, hint } = describeTransportError(cause, about.registry);
  return new BuildError(code, `${about.action}: ${what}`, { hint, cause });
}

function describeTransportError(cause: unknown, registry: string) {
  const errorCode = codeOf(cause);
  // Without Node's advice on its own options.
  const message = (cause instanceof Error ? cause.message : String(cause)).replace(
    /; if the root CA .*$/,
    "",
  );
  const code: BuildErrorCode = "registry";
  if (errorCode === "ECONNREFUSED") {
    return {
      code,
      what: `registry ${registry} refuses the connection`,
      hint: `Is the registry running, and is the port right? (Tried ${addressOf(cause)})`,
    };
  }
  if (errorCode === "ENOTFOUND" || errorCode === "EAI_AGAIN") {
    return {
      code,
      what: `the host of registry ${registry} is not known to the name server (${errorCode})`,
      hint: "Check the spelling and the network; a proxy is taken from HTTPS_PROXY",
    };
  }
  if (isPlainHttpAnswer(cause)) {
    return {
      code,
      what: `registry ${registry} speaks plain HTTP, not HTTPS`,
      hint: "To allow that, give --tls-verify=false or name it among the insecure registries",
    };
  }
  if (errorCode === "CERT_HAS_EXPIRED" || errorCode === "CERT_NOT_YET_VALID") {
    const state = errorCode === "CERT_HAS_EXPIRED" ? "has expired" : "is not valid yet";
    return {
      code,
      what: `the certificate of registry ${registry} ${state}`,
      hint: `Who runs the registry must renew it, or the clock of this machine is wrong: ${new Date().toISOString().slice(0, 10)}`,
    };
  }
  if (/^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS_CERT)/.test(errorCode)) {
    return {
      code,
      what: `the certificate of registry ${registry} is not trusted: ${message}`,
      hint: `Put its authority into /etc/docker/certs.d/${registry}/ca.crt, or give --tls-verify=false`,
    };
  }
  return { code, what: `the connection to registry ${registry} failed: ${message}`, hint: undefined };
}

/** Where the connection went: with a proxy that is another place than the registry. */
function addressOf(cause: unknown): string {
  const error = cause instanceof AggregateError ? cause.errors[0] : cause;
  const { address, port } = error as { address?: string; port?: number };
  return address?.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Whether a TLS handshake met something that is not TLS. */
export function isPlainHttpAnswer(error: unknown): boolean {
  return /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST)$/.test(codeOf(error));
}

/** The `code` of an error or of the nearest cause that has one; empty when there is none. */
export function codeOf(error: unknown): string {
  for (let e = error; e instanceof Error; e = e.cause) {
    const code = (e as NodeJS.ErrnoException).code;
    if (typeof code === "string") return code;
    if (e instanceof AggregateError && e.errors.length > 0) return codeOf(e.errors[0]);
  }
  return "";
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
