import { createHash } from "node:crypto";
import { type FileHandle, open, rm } from "node:fs/promises";
import { BuildError } from "../errors/build-error.ts";
import { DEFAULT_LIMITS, type InputLimits, type LimitName, makeLimitError } from "../errors/input-limits.ts";
import type { Digest } from "../oci/digest.ts";
import { discardBody, type HttpConnections, type HttpResponse } from "../registry/http-connections.ts";
import {
  DEFAULT_RETRIES,
  isTransientError,
  pauseBeforeRetry,
  type RetryPolicy,
} from "../registry/retry-policy.ts";
import { adoptBlob, hasBlob, temporaryPath } from "../store/blobs.ts";
import { findDownload, type StoredDownload, writeDownload } from "../store/downloads.ts";
import type { Store } from "../store/open-store.ts";
import { fetchUrl, makeFetchError, makeStatusError, type UrlRequest } from "./fetch-url.ts";
import { findAuthorization, type SourceSecrets } from "./source-authorization.ts";
import { redactUrl } from "./url-text.ts";

export interface DownloadContext {
  readonly store: Store;
  readonly connections: HttpConnections;
  readonly secrets: SourceSecrets;
  /** `DEFAULT_LIMITS` when absent. */
  readonly limits?: InputLimits;
  readonly retries?: RetryPolicy;
}

export interface DownloadRequest {
  readonly url: string;
  /** What the file is at most; `download-size` when absent. */
  readonly sizeLimit?: LimitName;
  /** What the bytes must be. A file that is here already is then not asked for again. */
  readonly checksum?: string;
  readonly signal?: AbortSignal;
  /** `totalBytes` is absent where the server does not say. */
  readonly onProgress?: (doneBytes: number, totalBytes?: number) => void;
}

/** A file that lies in the store as a blob. */
export interface Download {
  readonly digest: Digest;
  readonly filePath: string;
  readonly sizeBytes: number;
  /** Of Last-Modified, in seconds since 1970; 0 when the server does not say. */
  readonly mtime: number;
}

/** A connection that brought this much was good: the count of failures begins again. */
const PROGRESS_BYTES = 1024 * 1024;

/**
 * What a URL has now. What was downloaded before is asked about by ETag and Last-Modified and used when it is still so; a
 * connection that breaks goes on where it broke, if the file is still the same. A file counts only once it is complete and,
 * with `checksum`, what it should be.
 *
 * @throws BuildError `fetch-failed`, `verification`, `input-limit`; the signal's reason.
 */
export async function download(context: DownloadContext, request: DownloadRequest): Promise<Download> {
  const { store } = context;
  const stored = findDownload(store, request.url);
  const known = stored !== undefined && hasBlob(store, stored.digest) ? stored : undefined;
  if (known !== undefined && known.digest === request.checksum) return fromStored(store, known);
  const start = urlRequest(context, request);
  const response = await fetchUrl(context.connections, {
    ...start,
    headers: known === undefined ? {} : revalidation(known),
  });
  if (known !== undefined && isUnchanged(response, known)) {
    await discardBody(response);
    return fromStored(store, await verify(known, request));
  }
  const fresh = await receive(context, { ...request, start, response });
  writeDownload(store, fresh);
  return fromStored(store, fresh);
}

function urlRequest(context: DownloadContext, request: DownloadRequest): UrlRequest {
  const url = URL.parse(request.url);
  if (url === null) throw new BuildError("option-invalid", `Cannot download "${request.url}": it is no URL`);
  const { secrets, retries } = context;
  const authorization = findAuthorization(url, {
    prefix: "HTTP_AUTH",
    secrets,
    formatToken: (token) => `Bearer ${token}`,
  });
  url.username = "";
  url.password = "";
  url.hash = "";
  return {
    url,
    headers: {},
    authorization,
    isVerified: request.checksum !== undefined,
    retries,
    signal: request.signal,
  };
}

function revalidation({ etag, lastModified }: StoredDownload): Record<string, string> {
  if (etag !== undefined) return { "if-none-match": etag };
  return lastModified === undefined ? {} : { "if-modified-since": lastModified };
}

/** Some servers send an ETag and then do not answer 304 when they are asked about it. */
function isUnchanged({ status, headers }: HttpResponse, known: StoredDownload): boolean {
  if (status === 304) return true;
  return status === 200 && known.etag !== undefined && headers.etag === known.etag;
}

interface Reception extends DownloadRequest {
  readonly start: UrlRequest;
  readonly response: HttpResponse;
}

async function receive(context: DownloadContext, reception: Reception): Promise<StoredDownload> {
  const path = temporaryPath(context.store);
  try {
    await using file = await open(path, "wx", 0o600);
    const received = await verify(await receiveInto(file, context, reception), reception);
    await adoptBlob(context.store, path, received.digest);
    return received;
  } finally {
    await rm(path, { force: true });
  }
}

async function receiveInto(
  file: FileHandle,
  context: DownloadContext,
  { start, response: first, url, sizeLimit = "download-size", onProgress, signal }: Reception,
): Promise<StoredDownload> {
  const { retries = DEFAULT_RETRIES, limits = DEFAULT_LIMITS } = context;
  const checkSize = (size: number) => {
    if (size <= limits[sizeLimit]) return;
    throw makeLimitError(sizeLimit, `Cannot download "${redactUrl(url)}": it is larger`, limits);
  };
  let response = first;
  let hash = createHash("sha256");
  let done = 0;
  let failures = 0;
  for (;;) {
    const begin = done;
    const isRest = done > 0 && response.status === 206;
    if (!isRest && response.status !== 200 && response.status !== 203) {
      throw await makeStatusError(response, start);
    }
    if (done > 0 && !isRest) {
      // The server cannot go on in the middle, or has another file by now.
      await file.truncate(0);
      hash = createHash("sha256");
      done = 0;
    }
    const length = lengthOf(response);
    const total = length === undefined ? undefined : done + length;
    if (total !== undefined) checkSize(total);
    try {
      for await (const piece of response.body as AsyncIterable<Uint8Array>) {
        checkSize(done + piece.length);
        await file.write(piece, 0, piece.length, done);
        hash.update(piece);
        done += piece.length;
        onProgress?.(done, total);
      }
      const { etag, "last-modified": lastModified } = response.headers;
      return { url, etag, lastModified, digest: `sha256:${hash.digest("hex")}`, sizeBytes: done };
    } catch (error) {
      signal?.throwIfAborted();
      failures = done - begin >= PROGRESS_BYTES ? 1 : failures + 1;
      if (error instanceof BuildError || !isTransientError(error) || failures > retries.count) {
        throw makeFetchError(error, start);
      }
      await pauseBeforeRetry(retries, failures - 1, { signal });
    } finally {
      response.body.destroy();
    }
    response = await fetchUrl(context.connections, { ...start, headers: continuation(response, done) });
    const { status, headers } = response;
    if (status === 206 && !headers["content-range"]?.startsWith(`bytes ${done}-`)) throw wrongRange(start);
  }
}

/** Asks for the rest only where the server can tell whether it is still the same file (RFC 9110, 13.1.5). */
function continuation({ headers }: HttpResponse, done: number): Record<string, string> {
  const etag = headers.etag?.startsWith("W/") ? undefined : headers.etag;
  const validator = etag ?? headers["last-modified"];
  if (done === 0 || validator === undefined) return {};
  return { range: `bytes=${done}-`, "if-range": validator };
}

function lengthOf({ headers }: HttpResponse): number | undefined {
  const length = headers["content-length"];
  return length === undefined || !/^\d+$/.test(length) ? undefined : Number(length);
}

function wrongRange({ url }: UrlRequest): BuildError {
  return new BuildError(
    "fetch-failed",
    `Cannot download "${redactUrl(url)}": the server answers another range than was asked for`,
  );
}

async function verify(found: StoredDownload, { url, checksum }: DownloadRequest): Promise<StoredDownload> {
  if (checksum === undefined || found.digest === checksum) return found;
  throw new BuildError(
    "verification",
    `Cannot use "${redactUrl(url)}": digest mismatch, it is ${found.digest} and should be ${checksum}`,
    { hint: "Has the file changed? If that is right, change --checksum" },
  );
}

function fromStored(store: Store, { digest, sizeBytes, lastModified }: StoredDownload): Download {
  return { digest, filePath: store.blobPath(digest), sizeBytes, mtime: parseTime(lastModified) };
}

function parseTime(header: string | undefined): number {
  const seconds = Math.floor(Date.parse(header ?? "") / 1000);
  return Number.isNaN(seconds) ? 0 : Math.max(seconds, 0);
}
