import { STATUS_CODES } from "node:http";
import { BuildError } from "../errors/build-error.ts";
import { ConnectionError, type Peer } from "./http-connections.ts";
import type { RegistryAction } from "./registry-error.ts";

interface Description {
  readonly what: string;
  readonly hint?: string;
}

/**
 * The error for a connection that could not be made or broke; a bug comes back as it is.
 *
 * @param peer the other end, where the cause does not know it: of a body that broke off, its answer.
 */
export function makeTransportError(
  cause: unknown,
  about: RegistryAction,
  peer: Peer | undefined = cause instanceof ConnectionError ? cause.peer : undefined,
): unknown {
  const inner = cause instanceof ConnectionError ? cause.cause : cause;
  const isBug =
    codeOf(inner) === "" &&
    (inner instanceof TypeError || inner instanceof ReferenceError || inner instanceof RangeError);
  if (isBug) return inner;
  const { what, hint } =
    (peer && describeProxyFailure(inner, about, peer)) ?? describeFailure(inner, about, peer);
  return new BuildError("registry", `${about.action}: ${what}`, { hint, cause });
}

/** Who answered or failed: the registry, or another host, which it or the manifest points to. */
export function nameSide({ registry, host }: RegistryAction, peer: Peer | undefined): string {
  const isRegistry = peer === undefined || host === undefined || peer.url.host === host;
  return isRegistry ? `registry ${registry}` : `host ${peer.url.host}`;
}

/** What only a proxy can be blamed for: all that goes wrong before there is a tunnel, and all where there is none. */
const BEFORE_TUNNEL =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|UND_ERR_(CONNECT_TIMEOUT|ABORTED|PRX_CONN|PRX_TLS))$/;

/** `host:port` of the proxy, if it was the proxy that failed. */
export function findFailedProxy(cause: unknown, peer: Peer): string | undefined {
  const isProxys = peer.url.protocol === "http:" || BEFORE_TUNNEL.test(codeOf(cause));
  return isProxys ? peer.proxy : undefined;
}

function describeProxyFailure(cause: unknown, about: RegistryAction, peer: Peer): Description | undefined {
  const proxy = findFailedProxy(cause, peer);
  if (proxy === undefined) return undefined;
  const side = nameSide(about, peer);
  const variable = peer.url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  const hint = `The proxy comes from ${variable}; to go without it, add ${peer.url.hostname} to NO_PROXY`;
  // undici tells it in no other way.
  const status = /Proxy response \((\d+)\)/.exec(messageOf(cause))?.[1];
  if (status !== undefined) {
    const what = `proxy ${proxy} does not connect to ${side}: it answered ${status} ${STATUS_CODES[status] ?? ""}`;
    return { what: what.trim(), hint: status === "407" ? PROXY_LOGIN_HINT : hint };
  }
  switch (codeOf(cause)) {
    case "ECONNREFUSED":
      return { what: `proxy ${proxy} on the way to ${side} refuses the connection`, hint };
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return { what: `proxy ${proxy} on the way to ${side} is not known to the name server`, hint };
    default:
      return {
        what: `the connection to proxy ${proxy} on the way to ${side} failed: ${messageOf(cause)}`,
        hint,
      };
  }
}

export const PROXY_LOGIN_HINT = "Give it as http://USER:PASSWORD@HOST:PORT in HTTPS_PROXY or HTTP_PROXY";

function describeFailure(cause: unknown, about: RegistryAction, peer: Peer | undefined): Description {
  const errorCode = codeOf(cause);
  const side = nameSide(about, peer);
  const isRegistry = side === `registry ${about.registry}`;
  const host = isRegistry ? about.registry : peer!.url.host;
  const message = messageOf(cause);
  if (errorCode === "ECONNREFUSED") {
    const question = isRegistry ? "Is the registry running, and is the port right?" : "Is it running?";
    return { what: `${side} refuses the connection`, hint: `${question} (Tried ${addressOf(cause)})` };
  }
  if (errorCode === "ENOTFOUND" || errorCode === "EAI_AGAIN") {
    return {
      what: `${isRegistry ? `the host of ${side}` : side} is not known to the name server (${errorCode})`,
      hint: "Check the spelling and the network; a proxy is taken from HTTPS_PROXY",
    };
  }
  if (isPlainHttpAnswer(cause)) {
    return {
      what: `${side} speaks plain HTTP, not HTTPS`,
      hint: "To allow that, give --tls-verify=false or name it among the insecure registries",
    };
  }
  if (errorCode === "CERT_HAS_EXPIRED" || errorCode === "CERT_NOT_YET_VALID") {
    const state = errorCode === "CERT_HAS_EXPIRED" ? "has expired" : "is not valid yet";
    return {
      what: `the certificate of ${side} ${state}`,
      hint: `Who runs the ${isRegistry ? "registry" : "host"} must renew it, or the clock of this machine is wrong: ${new Date().toISOString().slice(0, 10)}`,
    };
  }
  if (/^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS_CERT)/.test(errorCode)) {
    return {
      what: `the certificate of ${side} is not trusted: ${message}`,
      hint: `Put its authority into /etc/docker/certs.d/${host}/ca.crt, or give --tls-verify=false`,
    };
  }
  const alert = /_ALERT_([A-Z_]+)$/.exec(errorCode)?.[1];
  return (
    (alert === undefined ? undefined : describeAlert(alert, { side, host, peer })) ?? {
      what: `the connection to ${side} failed: ${message}`,
    }
  );
}

/** Alerts about a client's certificate (RFC 8446, 6.2); TLS 1.2 has no better one for a missing certificate than a failed handshake. */
function describeAlert(
  alert: string,
  { side, host, peer }: { readonly side: string; readonly host: string; readonly peer: Peer | undefined },
): Description | undefined {
  const place = `/etc/docker/certs.d/${host}`;
  if (peer?.hasCertificate) {
    if (!/CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE/.test(alert)) return undefined;
    const said = alert.toLowerCase().replaceAll("_", " ");
    return {
      what: `${side} does not accept the client certificate (${said})`,
      hint: `Its authority must be one that ${side} trusts, and it must not have expired; see *.cert in the host's certs.d directory`,
    };
  }
  const hint = `Put it into ${place}/client.cert, and its key into client.key beside it`;
  if (/^(CERTIFICATE_REQUIRED|BAD_CERTIFICATE)$/.test(alert))
    return { what: `${side} wants a client certificate`, hint };
  if (alert !== "HANDSHAKE_FAILURE") return undefined;
  return { what: `${side} breaks off the TLS handshake, as one does that wants a client certificate`, hint };
}

/** Where the connection went. */
function addressOf(cause: unknown): string {
  const error = cause instanceof AggregateError ? cause.errors[0] : cause;
  const { address, port } = error as { address?: string; port?: number };
  return address?.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Without Node's advice on its own options. */
function messageOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).replace(/; if the root CA .*$/, "");
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
