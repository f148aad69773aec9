import type { Descriptor } from "../oci/descriptor.ts";
import type { ImageReference } from "../oci/reference.ts";
import { discardBody } from "./http-connections.ts";
import type { RequestOptions, TransferOptions } from "./registry-client.ts";
import { makeAnswerError } from "./registry-error.ts";
import type { RegistrySession } from "./registry-session.ts";
import { addDigest, cancelUpload, locate, pushScopes, startUpload } from "./upload.ts";

/** The upload of a blob whose digest and size nobody knows before its end. */
export interface StreamedUpload {
  /** Waits for the last byte and makes it the blob that it should be. False where that failed, for whatever reason: nothing is left of it then. */
  commit(descriptor: Descriptor, options?: Pick<TransferOptions, "onProgress">): Promise<boolean>;
  /** Gives it up, unless it has ended. */
  cancel(): Promise<void>;
}

/**
 * POST and one PATCH without a length as docker sends it, and for `commit()` an empty PUT. It never throws and tries nothing twice: the
 * blob is pushed as usual where this fails. `readBytes` may be called again when the registry asks for credentials.
 */
export function streamBlob(
  session: RegistrySession,
  {
    reference,
    readBytes,
    signal,
  }: {
    readonly reference: ImageReference;
    readonly readBytes: () => AsyncIterable<Uint8Array>;
  } & RequestOptions,
): StreamedUpload {
  const action = `Cannot push a blob to "${reference.registry}/${reference.repository}"`;
  const stop = new AbortController();
  const request = {
    scopes: pushScopes(reference),
    action,
    signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
    retry: false as const,
  };
  let location: URL | undefined;
  let onProgress: TransferOptions["onProgress"];
  let sentBytes = 0;
  async function* readCounted() {
    sentBytes = 0;
    for await (const piece of readBytes()) {
      yield piece;
      sentBytes += piece.length;
      onProgress?.(sentBytes);
    }
  }
  const send = async (): Promise<void> => {
    location = (await startUpload(session, { reference, signal: request.signal, retry: false }, action))
      .location;
    const response = await session.request({
      ...request,
      method: "PATCH",
      target: location,
      headers: { "content-type": "application/octet-stream" },
      body: readCounted,
    });
    if (response.status !== 202) throw await makeAnswerError(response, session.about(action, "repository"));
    await discardBody(response);
    location = locate(response, action);
  };
  const sending = send();
  sending.catch(() => {});
  const cancel = async (): Promise<void> => {
    stop.abort();
    await sending.catch(() => {});
    const open = location;
    location = undefined;
    if (open !== undefined) await cancelUpload(session, reference, open);
  };
  return {
    cancel,
    async commit({ digest }, options = {}) {
      onProgress = options.onProgress;
      onProgress?.(sentBytes);
      try {
        await sending;
        const target = addDigest(location!, digest);
        const response = await session.request({
          ...request,
          method: "PUT",
          target,
          headers: { "content-length": "0" },
        });
        await discardBody(response);
        if (response.status === 201 || response.status === 204) {
          location = undefined;
          return true;
        }
      } catch {
        // As with an answer that is not wanted.
      }
      await cancel();
      return false;
    },
  };
}
