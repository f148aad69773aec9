import { BuildError } from "../errors/build-error.ts";
import { type InputLimits, makeLimitError } from "../errors/input-limits.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { isDigest } from "../oci/digest.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import { isIndexMediaType, isManifestMediaType, MEDIA_TYPE } from "../oci/media-type.ts";
import { formatImageReference, type ImageReference } from "../oci/reference.ts";
import { discardBody, type HttpResponse } from "./http-connections.ts";
import type { RequestOptions, ResolvedManifest } from "./registry-client.ts";
import { makeAnswerError } from "./registry-error.ts";
import type { RegistrySession } from "./registry-session.ts";
import { isTransientError, pauseBeforeRetry } from "./retry-policy.ts";
import { makeTransportError } from "./transport-error.ts";

/** Schema 1 is asked for so that a registry that has nothing else can be refused by name. */
const ACCEPT = [
  MEDIA_TYPE.ociIndex,
  MEDIA_TYPE.ociManifest,
  MEDIA_TYPE.dockerIndex,
  MEDIA_TYPE.dockerManifest,
  `${MEDIA_TYPE.dockerSignedManifestV1};q=0.1`,
].join(", ");

/** GET of a manifest or index, by digest where the reference has one. Verifies size, digest and media type. */
export async function fetchManifest(
  session: RegistrySession,
  reference: ImageReference,
  { signal }: RequestOptions,
): Promise<ResolvedManifest> {
  const action = `Cannot pull "${formatImageReference(reference)}"`;
  const { bytes, response } = await readManifest(session, reference, { action, signal });

  // First, for the digest of a schema 1 manifest is not that of its bytes.
  const mediaType = judgeMediaType(bytes, parseContentType(response), action);
  const digest = digestBytes(bytes);
  const claimed = response.headers["docker-content-digest"];
  if (reference.digest !== undefined && reference.digest !== digest) {
    throw new BuildError("verification", `${action}: the registry sent a manifest with the digest ${digest}`);
  }
  if (claimed !== undefined && isDigest(claimed) && claimed !== digest) {
    throw new BuildError(
      "verification",
      `${action}: the registry says that the manifest's digest is ${claimed}, but it is ${digest}`,
    );
  }
  return { descriptor: { mediaType, digest, size: bytes.length }, bytes };
}

/** HEAD of a manifest; falls back to GET where the registry's answer lacks the digest. Undefined when it is not there. */
export async function headManifest(
  session: RegistrySession,
  reference: ImageReference,
  { signal }: RequestOptions,
): Promise<Descriptor | undefined> {
  const action = `Cannot look up "${formatImageReference(reference)}"`;
  const response = await requestManifest(session, reference, { method: "HEAD", action, signal });
  await discardBody(response);
  if (response.status === 404) return undefined;
  if (response.status !== 200) throw await makeAnswerError(response, session.about(action, "manifest"));
  const digest = response.headers["docker-content-digest"];
  const size = Number(response.headers["content-length"]);
  const mediaType = parseContentType(response);
  if (digest !== undefined && isDigest(digest) && size > 0 && isKnown(mediaType)) {
    return { mediaType, digest, size };
  }
  return (await fetchManifest(session, reference, { signal })).descriptor;
}

function requestManifest(
  session: RegistrySession,
  reference: ImageReference,
  request: { method: "GET" | "HEAD"; action: string; signal?: AbortSignal },
): Promise<HttpResponse> {
  return session.request({
    ...request,
    target: `/v2/${reference.repository}/manifests/${reference.digest ?? reference.tag ?? "latest"}`,
    headers: { accept: ACCEPT },
    scopes: [`repository:${reference.repository}:pull`],
  });
}

/** GET with the body, again from the start where it broke off. */
async function readManifest(
  session: RegistrySession,
  reference: ImageReference,
  { action, signal }: { action: string; signal?: AbortSignal },
): Promise<{ bytes: Uint8Array; response: HttpResponse }> {
  for (let attempt = 0; ; attempt++) {
    const response = await requestManifest(session, reference, { method: "GET", action, signal });
    if (response.status !== 200) throw await makeAnswerError(response, session.about(action, "manifest"));
    try {
      return { bytes: await readLimitedBytes(response, { action, limits: session.limits }), response };
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof BuildError) throw error;
      if (attempt >= session.retries.count || !isTransientError(error)) {
        throw makeTransportError(error, session.about(action), response);
      }
    }
    await pauseBeforeRetry(session.retries, attempt, { signal });
  }
}

/** A body of at most the size that a manifest may have. */
export async function readLimitedBytes(
  response: HttpResponse,
  { action, limits }: { readonly action: string; readonly limits: InputLimits },
): Promise<Uint8Array> {
  const checkSize = (size: number) => {
    if (size <= limits["manifest-size"]) return;
    throw makeLimitError("manifest-size", `${action}: its manifest is larger`, limits);
  };
  const length = response.headers["content-length"];
  const pieces: Uint8Array[] = [];
  let size = 0;
  try {
    checkSize(Number(length ?? 0));
    for await (const piece of response.body as AsyncIterable<Uint8Array>) {
      size += piece.length;
      checkSize(size);
      pieces.push(piece);
    }
  } finally {
    response.body.destroy();
  }
  return Buffer.concat(pieces);
}

function parseContentType(response: HttpResponse): string {
  return (response.headers["content-type"] ?? "").split(";")[0]!.trim().toLowerCase();
}

function isKnown(mediaType: string): boolean {
  return isIndexMediaType(mediaType) || isManifestMediaType(mediaType);
}

/**
 * What the bytes are, by the header, the `mediaType` field and the shape. These must agree: a document that one client reads as an
 * index and another as a manifest is an attack (OCI image spec 1.0.2, CVE-2021-41190).
 */
function judgeMediaType(bytes: Uint8Array, contentType: string, action: string): string {
  const refuse = (what: string) => new BuildError("verification", `${action}: ${what}`);
  let document: Record<string, unknown>;
  try {
    const parsed: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw new Error("no object");
    document = parsed as Record<string, unknown>;
  } catch (error) {
    throw new BuildError("verification", `${action}: its manifest is no JSON object`, { cause: error });
  }
  const isSchema1 =
    contentType === MEDIA_TYPE.dockerManifestV1 || contentType === MEDIA_TYPE.dockerSignedManifestV1;
  if (isSchema1 || document.schemaVersion === 1) {
    throw new BuildError(
      "unsupported",
      `${action}: the registry has it only as a Docker schema 1 manifest, a form that has no verifiable config`,
      { hint: "Push the image again with a current docker, podman or skopeo" },
    );
  }
  const inside = typeof document.mediaType === "string" ? document.mediaType : "";
  if (inside !== "" && isKnown(contentType) && inside !== contentType) {
    throw refuse(`the registry calls its manifest "${contentType}", but it calls itself "${inside}"`);
  }
  const hasManifests = document.manifests !== undefined;
  const hasLayers = document.layers !== undefined || document.config !== undefined;
  if (hasManifests && hasLayers) throw refuse("its manifest is an index and an image at the same time");
  // Static file servers and old registries send text/plain or application/json; OCI documents need not name themselves.
  const byShape = hasManifests ? MEDIA_TYPE.ociIndex : hasLayers ? MEDIA_TYPE.ociManifest : "";
  const mediaType = isKnown(contentType) ? contentType : inside || byShape;
  if (!isKnown(mediaType)) {
    throw new BuildError(
      "unsupported",
      `${action}: "${mediaType || contentType}" is no image manifest or index`,
    );
  }
  if (isIndexMediaType(mediaType) !== hasManifests) {
    throw refuse(`its manifest does not have the fields of "${mediaType}"`);
  }
  return mediaType;
}
