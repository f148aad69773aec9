import { BuildError } from "../errors/build-error.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageReference } from "../oci/reference.ts";
import { discardBody, type HttpResponse } from "./http-connections.ts";
import type { RequestOptions, TransferOptions } from "./registry-client.ts";
import { makeAnswerError } from "./registry-error.ts";
import type { RegistrySession } from "./registry-session.ts";
import { isTransientError, isTransientStatus, pauseBeforeRetry, readRetryAfter } from "./retry-policy.ts";
import { makeTransportError } from "./transport-error.ts";
import { addDigest, cancelUpload, locate, pushScopes, startUpload, type UploadState } from "./upload.ts";
import { UploadSource } from "./upload-source.ts";

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
  /** Blobs bigger than this go in pieces of this size; absent: always in one. */
  readonly chunkBytes?: number;
}

/**
 * POST and one PUT with the bytes, or POST, PATCHes and an empty PUT (distribution spec 1.1, "Pushing blobs"). Where the connection
 * broke, the registry is asked how much it has, and gets the rest; where it does not remember, the upload begins again.
 */
export async function pushBlob(session: RegistrySession, upload: Upload): Promise<"existed" | "pushed"> {
  const { retries } = session;
  const { reference, descriptor, signal } = upload;
  const action = `Cannot push blob "${descriptor.digest}" to "${reference.registry}/${reference.repository}"`;
  let state: UploadState | undefined;
  for (let attempt = 0; ; attempt++) {
    // After a failure, too: the answer may have been lost, or another build was faster.
    if (await hasBlob(session, reference, { digest: descriptor.digest, signal })) {
      return attempt === 0 ? "existed" : "pushed";
    }
    let retryAfterMs: number | undefined;
    const source = new UploadSource(upload, action);
    try {
      if (state !== undefined && !(await askUploaded(session, upload, { state, action }))) state = undefined;
      state ??= await startUpload(session, upload, action);
      const response = await sendBytes(session, upload, { state, source, action });
      if (response.status === 201 || response.status === 204) {
        await discardBody(response);
        return "pushed";
      }
      if (attempt >= retries.count || !isTransientStatus(response.status)) {
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
        if (state !== undefined) await cancelUpload(session, reference, state.location);
        signal?.throwIfAborted();
        if (source.failure !== undefined) throw source.failure;
        throw error instanceof BuildError ? error : makeTransportError(error, session.about(action));
      }
    } finally {
      await source.close();
    }
    await pauseBeforeRetry(retries, attempt, { retryAfterMs, signal });
  }
}

/** Brings the state to what the registry has of an interrupted upload; false when there is nothing to go on with. */
async function askUploaded(
  session: RegistrySession,
  { reference, descriptor, signal }: Upload,
  { state, action }: { state: UploadState; action: string },
): Promise<boolean> {
  const response = await session.request({
    method: "GET",
    target: state.location,
    scopes: pushScopes(reference),
    action,
    signal,
    retry: false,
  });
  await discardBody(response);
  const end = Number(/^(?:bytes=)?0-(\d+)$/.exec(response.headers.range ?? "")?.[1]);
  // "0-0" is how registries write "nothing", so one byte counts as nothing, too.
  if (response.status !== 204 || !(end > 0) || end >= descriptor.size) return false;
  if (response.headers.location !== undefined) state.location = locate(response, action);
  state.offset = end + 1;
  return true;
}

async function sendBytes(
  session: RegistrySession,
  { reference, descriptor, signal }: Upload,
  { state, source, action }: { state: UploadState; source: UploadSource; action: string },
): Promise<HttpResponse> {
  const request = { scopes: pushScopes(reference), action, signal, retry: false as const };
  const type = { "content-type": "application/octet-stream" };
  const { size } = descriptor;
  if (state.offset === 0 && size <= state.chunkBytes) {
    return session.request({
      ...request,
      method: "PUT",
      target: addDigest(state.location, descriptor.digest),
      headers: { ...type, "content-length": String(size) },
      body: () => source.take(0, size),
    });
  }
  while (state.offset < size) {
    const begin = state.offset;
    const end = Math.min(begin + state.chunkBytes, size);
    const response = await session.request({
      ...request,
      method: "PATCH",
      target: state.location,
      headers: { ...type, "content-length": String(end - begin), "content-range": `${begin}-${end - 1}` },
      body: () => source.take(begin, end),
    });
    if (response.status !== 202) return response;
    await discardBody(response);
    state.location = locate(response, action);
    state.offset = end;
  }
  return session.request({
    ...request,
    method: "PUT",
    target: addDigest(state.location, descriptor.digest),
    headers: { ...type, "content-length": "0" },
  });
}
