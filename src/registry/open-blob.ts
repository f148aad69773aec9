import { createHash } from "node:crypto";
import { BuildError } from "../errors/build-error.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { ImageReference } from "../oci/reference.ts";
import { discardBody, type HttpResponse } from "./http-connections.ts";
import type { DownloadOptions } from "./registry-client.ts";
import { makeAnswerError } from "./registry-error.ts";
import type { RegistrySession } from "./registry-session.ts";
import { isTransientError, pauseBeforeRetry } from "./retry-policy.ts";
import { makeTransportError } from "./transport-error.ts";

/** A connection that brought this much was good: the count of failures begins again. */
const PROGRESS_BYTES = 1024 * 1024;

/**
 * Streams a blob; goes on with a Range request where a connection broke. At the end the size has been verified,
 * and the digest unless the receiver does that, else the stream throws `verification`. Bytes that turn out wrong are not fetched again: a registry that lies lies twice.
 */
export async function* openBlob(
  session: RegistrySession,
  blob: { readonly reference: ImageReference; readonly descriptor: Descriptor } & DownloadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { retries } = session;
  const { reference, descriptor, signal, onProgress } = blob;
  const action = `Cannot pull blob "${descriptor.digest}" of "${reference.registry}/${reference.repository}"`;
  const hash = blob.receiverVerifies ? undefined : createHash("sha256");
  let done = 0;
  let failures = 0;
  while (done < descriptor.size || (done === 0 && failures === 0)) {
    const begin = done;
    let broken: unknown;
    const response = await requestBlob(session, { ...blob, action, offset: begin });
    try {
      const skip = await checkAnswer(response, { action, session, begin, size: descriptor.size });
      for await (const piece of skipBytes(response.body as AsyncIterable<Uint8Array>, skip)) {
        if (done + piece.length > descriptor.size) {
          throw new BuildError(
            "verification",
            `${action}: the registry sends more than the ${descriptor.size} bytes that it should have`,
          );
        }
        hash?.update(piece);
        done += piece.length;
        onProgress?.(done);
        yield piece;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof BuildError) throw error;
      if (!isTransientError(error)) throw makeTransportError(error, session.about(action), response);
      broken = error;
    } finally {
      response.body.destroy();
    }
    if (done === descriptor.size) break;
    failures = done - begin >= PROGRESS_BYTES ? 1 : failures + 1;
    if (failures > retries.count) {
      if (broken !== undefined) throw makeTransportError(broken, session.about(action), response);
      throw new BuildError(
        "verification",
        `${action}: the registry sent ${done} bytes of ${descriptor.size}, time and again`,
      );
    }
    await pauseBeforeRetry(retries, failures - 1, { signal });
  }
  if (hash === undefined) return;
  const digest = `sha256:${hash.digest("hex")}`;
  if (digest !== descriptor.digest) {
    throw new BuildError(
      "verification",
      `${action}: the bytes that the registry sent have the digest ${digest}`,
    );
  }
}

async function requestBlob(
  session: RegistrySession,
  blob: {
    readonly reference: ImageReference;
    readonly descriptor: Descriptor;
    readonly action: string;
    readonly offset: number;
    readonly signal?: AbortSignal;
  },
): Promise<HttpResponse> {
  const { reference, descriptor, offset, action, signal } = blob;
  const get = (target: string | URL) =>
    session.request({
      method: "GET",
      target,
      headers: {
        // A registry or proxy that compresses on the way would make sizes and ranges meaningless.
        "accept-encoding": "identity",
        ...(offset > 0 ? { range: `bytes=${offset}-` } : {}),
      },
      scopes: [`repository:${reference.repository}:pull`],
      action,
      signal,
    });
  const response = await get(`/v2/${reference.repository}/blobs/${descriptor.digest}`);
  const { urls = [] } = descriptor;
  if (response.status !== 404 || urls.length === 0) return response;
  // Foreign layers: the registry has only their descriptor, which says where the bytes are.
  await discardBody(response);
  let failure: unknown;
  for (const text of urls) {
    const url = URL.parse(text);
    try {
      if (url?.protocol !== "https:") {
        throw new BuildError(
          "registry",
          `${action}: it is a foreign layer at "${text}", which is no HTTPS address`,
        );
      }
      const elsewhere = await get(url);
      if (elsewhere.status === 200 || elsewhere.status === 206) return elsewhere;
      throw await makeAnswerError(elsewhere, session.about(action, "blob"));
    } catch (error) {
      if (!(error instanceof BuildError)) throw error;
      failure = error;
    }
  }
  throw failure;
}

/** How many bytes of the body are to be skipped: a server may ignore the range and begin again. */
async function checkAnswer(
  response: HttpResponse,
  { action, session, begin, size }: { action: string; session: RegistrySession; begin: number; size: number },
): Promise<number> {
  if (response.status === 206 && begin > 0) {
    const start = /^bytes (\d+)-/.exec(response.headers["content-range"] ?? "")?.[1];
    if (Number(start) === begin) return 0;
    throw new BuildError("registry", `${action}: the registry answers another range than was asked for`);
  }
  if (response.status !== 200) throw await makeAnswerError(response, session.about(action, "blob"));
  const length = response.headers["content-length"];
  if (length !== undefined && Number(length) !== size) {
    throw new BuildError(
      "verification",
      `${action}: the registry has ${length} bytes, and ${size} were promised`,
    );
  }
  return begin;
}

async function* skipBytes(pieces: AsyncIterable<Uint8Array>, count: number): AsyncGenerator<Uint8Array> {
  let left = count;
  for await (const piece of pieces) {
    if (left >= piece.length) left -= piece.length;
    else {
      yield left === 0 ? piece : piece.subarray(left);
      left = 0;
    }
  }
}
