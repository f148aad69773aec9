import { BuildError } from "../errors/build-error.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageReference } from "../oci/reference.ts";
import { discardBody, type HttpResponse } from "./http-connections.ts";
import type { RequestOptions, TransferOptions } from "./registry-client.ts";
import { makeAnswerError, makeTransportError } from "./registry-error.ts";
import type { RegistrySession } from "./registry-session.ts";
import {
  isTransientError,
  isTransientStatus,
  pauseBeforeRetry,
  type RetryPolicy,
  readRetryAfter,
} from "./retry-policy.ts";

/** Whether the repository has the blob (HEAD). */
export async function hasBlob(
  session: RegistrySession,
  reference: ImageReference,
  { digest, signal }: { readonly digest: Digest } & RequestOptions,
): Promise<boolean> {
  const action = `Cannot look up blob "${digest}" of "${reference.registry}/${reference.repository}"`;
  const response = await session.request({
    method: "HEAD",
    target: `/v2/${reference.repository}/blobs/${digest}`,
    scopes: pushScopes(reference),
    action,
    signal,
  });
  if (response.status !== 200 && response.status !== 404) {
    throw await makeAnswerError(response, session.about(action, "blob"));
  }
  await discardBody(response);
  return response.status === 200;
}

/** Cross-repository mount (distribution spec 1.1, "Mounting a blob from another repository"). */
export async function mountBlob(
  session: RegistrySession,
  reference: ImageReference,
  mount: { readonly digest: Digest; readonly fromRepository: string } & RequestOptions,
): Promise<boolean> {
  const { digest, fromRepository, signal } = mount;
  const action = `Cannot mount blob "${digest}" into "${reference.registry}/${reference.repository}"`;
  const query = new URLSearchParams({ mount: digest, from: fromRepository });
  const response = await session.request({
    method: "POST",
    target: `/v2/${reference.repository}/blobs/uploads/?${query}`,
    headers: { "content-length": "0" },
    scopes: [...pushScopes(reference), `repository:${fromRepository}:pull`],
    action,
    signal,
  });
  if (response.status === 201) {
    await discardBody(response);
    return true;
  }
  if (response.status !== 202) throw await makeAnswerError(response, session.about(action, "repository"));
  // The registry would rather have the bytes, and has begun an upload that nobody will go on with.
  await discardBody(response);
  await cancelUpload(session, reference, locate(response, action));
  return false;
}

interface Upload extends TransferOptions {
  readonly reference: ImageReference;
  readonly descriptor: Descriptor;
  readonly openStream: () => AsyncIterable<Uint8Array>;
}

/**
 * POST and one PUT with the bytes. Where the connection broke, what the registry already has stays: PATCH the rest and
 * PUT an empty end (distribution spec 1.1, "Pushing a blob in chunks"); where it does not remember, begin again.
 */
export async function pushBlob(
  session: RegistrySession,
  retries: RetryPolicy,
  upload: Upload,
): Promise<"existed" | "pushed"> {
  const { reference, descriptor, signal } = upload;
  const action = `Cannot push blob "${descriptor.digest}" to "${reference.registry}/${reference.repository}"`;
  let location: URL | undefined;
  for (let attempt = 0; ; attempt++) {
    // After a failure, too: the answer may have been lost, or another build was faster.
    if (await hasBlob(session, reference, { digest: descriptor.digest, signal })) {
      return attempt === 0 ? "existed" : "pushed";
    }
    let retryAfterMs: number | undefined;
    const source = { failure: undefined as unknown };
    try {
      const resumed =
        location === undefined
          ? undefined
          : await findUploaded(session, reference, { location, action, signal });
      location = resumed?.location ?? (await startUpload(session, reference, { action, signal }));
      const response = await sendBytes(session, upload, {
        location,
        offset: resumed?.offset ?? 0,
        action,
        source,
      });
      if (response.status === 201 || response.status === 204) {
        await discardBody(response);
        return "pushed";
      }
      if (attempt >= retries.count || !isTransientStatus(response.status)) {
        await cancelUpload(session, reference, location);
        throw await makeAnswerError(response, session.about(action, "repository"));
      }
      retryAfterMs = readRetryAfter(response);
      await discardBody(response);
    } catch (error) {
      const isFinal =
        signal?.aborted ||
        source.failure !== undefined ||
        error instanceof BuildError ||
        attempt >= retries.count ||
        !isTransientError(error);
      if (isFinal) {
        if (location !== undefined) await cancelUpload(session, reference, location);
        signal?.throwIfAborted();
        if (source.failure !== undefined) throw source.failure;
        throw error instanceof BuildError ? error : makeTransportError(error, session.about(action));
      }
    }
    await pauseBeforeRetry(retries, attempt, { retryAfterMs, signal });
  }
}

function pushScopes(reference: ImageReference): string[] {
  return [`repository:${reference.repository}:pull,push`];
}

async function startUpload(
  session: RegistrySession,
  reference: ImageReference,
  { action, signal }: { action: string; signal?: AbortSignal },
): Promise<URL> {
  const response = await session.request({
    method: "POST",
    target: `/v2/${reference.repository}/blobs/uploads/`,
    headers: { "content-length": "0" },
    scopes: pushScopes(reference),
    action,
    signal,
  });
  if (response.status !== 202) throw await makeAnswerError(response, session.about(action, "repository"));
  await discardBody(response);
  return locate(response, action);
}

/** How much of an interrupted upload the registry has, and where to go on; undefined when there is nothing to go on with. */
async function findUploaded(
  session: RegistrySession,
  reference: ImageReference,
  { location, action, signal }: { location: URL; action: string; signal?: AbortSignal },
): Promise<{ location: URL; offset: number } | undefined> {
  const response = await session.request({
    method: "GET",
    target: location,
    scopes: pushScopes(reference),
    action,
    signal,
    retry: false,
  });
  await discardBody(response);
  const end = /^(?:bytes=)?0-(\d+)$/.exec(response.headers.range ?? "")?.[1];
  // "0-0" is how registries write "nothing", so one byte counts as nothing, too.
  if (response.status !== 204 || end === undefined || Number(end) === 0) return undefined;
  return {
    location: response.headers.location === undefined ? location : locate(response, action),
    offset: Number(end) + 1,
  };
}

async function sendBytes(
  session: RegistrySession,
  upload: Upload,
  to: { location: URL; offset: number; action: string; source: { failure: unknown } },
): Promise<HttpResponse> {
  const { reference, descriptor, signal } = upload;
  const { offset, action } = to;
  const request = { scopes: pushScopes(reference), action, signal, retry: false as const };
  const type = { "content-type": "application/octet-stream" };
  const body = () => readSource(upload, to);
  const finish = ({ href, search }: URL) =>
    // Not through searchParams: that would respell what else stands in the query, which may be signed.
    new URL(`${href}${search === "" ? "?" : "&"}digest=${encodeURIComponent(descriptor.digest)}`);
  if (offset === 0) {
    return session.request({
      ...request,
      method: "PUT",
      target: finish(to.location),
      headers: { ...type, "content-length": String(descriptor.size) },
      // An empty stream with a length of 0 is no body to some servers' minds.
      body: descriptor.size === 0 ? undefined : body,
    });
  }
  let location = to.location;
  if (offset < descriptor.size) {
    const patched = await session.request({
      ...request,
      method: "PATCH",
      target: location,
      headers: {
        ...type,
        "content-length": String(descriptor.size - offset),
        "content-range": `${offset}-${descriptor.size - 1}`,
      },
      body,
    });
    if (patched.status !== 202) return patched;
    await discardBody(patched);
    location = locate(patched, action);
  }
  return session.request({
    ...request,
    method: "PUT",
    target: finish(location),
    headers: { ...type, "content-length": "0" },
  });
}

/** The source's bytes from an offset on. Its failures are kept apart: they are not the registry's, and not worth a retry. */
async function* readSource(
  { openStream, descriptor, onProgress }: Upload,
  { offset, action, source }: { offset: number; action: string; source: { failure: unknown } },
): AsyncGenerator<Uint8Array> {
  let done = 0;
  try {
    for await (const piece of openStream()) {
      const begin = done;
      done += piece.length;
      if (done > descriptor.size) break;
      if (done <= offset) continue;
      yield begin >= offset ? piece : piece.subarray(offset - begin);
      onProgress?.(done);
    }
    if (done !== descriptor.size) {
      const size = done > descriptor.size ? `more than ${descriptor.size}` : done;
      throw new BuildError(
        "verification",
        `${action}: it has ${size} bytes, and its descriptor says ${descriptor.size}`,
      );
    }
  } catch (error) {
    source.failure = error;
    throw error;
  }
}

/** Best effort: registries collect abandoned uploads by themselves, too. */
async function cancelUpload(
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

/** Where the upload goes on: absolute, or relative to where it was asked for. */
function locate(response: HttpResponse, action: string): URL {
  const location = response.headers.location;
  const url = location === undefined ? null : URL.parse(location, response.url.href);
  if (url !== null && /^https?:$/.test(url.protocol)) return url;
  throw new BuildError("registry", `${action}: the registry does not say where to upload to`);
}
