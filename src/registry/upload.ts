import { BuildError } from "../errors/build-error.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageReference } from "../oci/reference.ts";
import { discardBody, type HttpResponse } from "./http-connections.ts";
import type { RequestOptions } from "./registry-client.ts";
import { makeAnswerError } from "./registry-error.ts";
import type { RegistrySession } from "./registry-session.ts";

/* What the uploads of blobs have in common (distribution spec 1.1, "Pushing blobs"), whether their size is known or not. */

/** How far an upload has come: what the registry said last. */
export interface UploadState {
  location: URL;
  offset: number;
  chunkBytes: number;
}

export function pushScopes(reference: ImageReference): string[] {
  return [`repository:${reference.repository}:pull,push`];
}

/** POST: an upload without a byte. */
export async function startUpload(
  session: RegistrySession,
  upload: RequestOptions & {
    readonly reference: ImageReference;
    /** Blobs bigger than this go in pieces of this size; absent: always in one. */
    readonly chunkBytes?: number;
    readonly retry?: false;
  },
  action: string,
): Promise<UploadState> {
  const { reference, signal, retry } = upload;
  const response = await session.request({
    method: "POST",
    target: `/v2/${reference.repository}/blobs/uploads/`,
    headers: { "content-length": "0" },
    scopes: pushScopes(reference),
    action,
    signal,
    retry,
  });
  if (response.status !== 202) throw await makeAnswerError(response, session.about(action, "repository"));
  await discardBody(response);
  const smallest = Number(response.headers["oci-chunk-min-length"]) || 1;
  const chunkBytes = Math.max(upload.chunkBytes ?? Number.POSITIVE_INFINITY, smallest);
  return { location: locate(response, action), offset: 0, chunkBytes };
}

/** Not through searchParams: that would respell what else stands in the query, which may be signed. */
export function addDigest({ href, search }: URL, digest: Digest): URL {
  return new URL(`${href}${search === "" ? "?" : "&"}digest=${encodeURIComponent(digest)}`);
}

/** Best effort: registries collect abandoned uploads by themselves, too. */
export async function cancelUpload(
  session: RegistrySession,
  reference: ImageReference,
  location: URL,
): Promise<void> {
  const request = session.request({
    method: "DELETE",
    target: location,
    scopes: pushScopes(reference),
    action: "Cannot cancel an upload",
    retry: false,
    signal: AbortSignal.timeout(5000),
  });
  await request.then(discardBody).catch(() => {});
}

/**
 * Where the upload goes on: absolute, or relative to where it was asked for. A registry behind a proxy that ends TLS often
 * does not know that it is reached by HTTPS.
 */
export function locate(response: HttpResponse, action: string): URL {
  const location = response.headers.location;
  const url = location === undefined ? null : URL.parse(location, response.url.href);
  if (url !== null && url.protocol === "http:" && response.url.protocol === "https:") {
    if (url.hostname === response.url.hostname) url.protocol = "https:";
    else throw new BuildError("registry", `${action}: the registry wants it by plain HTTP at ${url.host}`);
  }
  if (url !== null && /^https?:$/.test(url.protocol)) return url;
  throw new BuildError("registry", `${action}: the registry does not say where to upload to`);
}
