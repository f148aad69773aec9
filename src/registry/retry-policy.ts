import { setTimeout as sleep } from "node:timers/promises";
import { BuildError } from "../errors/build-error.ts";
import { discardBody, type HttpResponse } from "./http-connections.ts";
import { codeOf } from "./transport-error.ts";

export interface RetryPolicy {
  /** How often to try again after the first time. */
  readonly count: number;
  /** Before the first repetition; doubles each time. */
  readonly delayMs: number;
}

export const DEFAULT_RETRIES: RetryPolicy = { count: 4, delayMs: 500 };

const DELAY_MAX_MS = 30_000;
/** A registry may ask for more patience than our own backoff has, but not for hours. */
const RETRY_AFTER_MAX_MS = 120_000;

const PERMANENT =
  /^(ECONNREFUSED|ENOTFOUND|EACCES|EPERM|EPROTO|ERR_|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|UND_ERR_(INVALID|ABORTED|DESTROYED|CLOSED|REQ_))/;

/** Whether a failed connection may work at the next try. Refusals and bad certificates do not change in seconds. */
export function isTransientError(error: unknown): boolean {
  const code = codeOf(error);
  return code !== "" && !PERMANENT.test(code);
}

export function isTransientStatus(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505);
}

/**
 * Sends again after a 408, 429 or 5xx and after a broken connection. The last answer comes back whatever its status;
 * the last network error is thrown as it is.
 */
export async function sendWithRetries(
  send: () => Promise<HttpResponse>,
  options: { readonly policy: RetryPolicy; readonly signal?: AbortSignal },
): Promise<HttpResponse> {
  const { policy, signal } = options;
  for (let attempt = 0; ; attempt++) {
    let retryAfterMs: number | undefined;
    try {
      const response = await send();
      if (attempt >= policy.count || !isTransientStatus(response.status)) return response;
      retryAfterMs = readRetryAfter(response);
      await discardBody(response);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof BuildError || attempt >= policy.count || !isTransientError(error)) throw error;
    }
    await pauseBeforeRetry(policy, attempt, { retryAfterMs, signal });
  }
}

export function readRetryAfter(response: HttpResponse): number | undefined {
  return parseRetryAfter(response.headers["retry-after"], Date.now());
}

/** What Retry-After (RFC 9110, 10.2.3) says, in milliseconds; undefined when it says nothing. */
export function parseRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  const delay = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isNaN(delay) ? undefined : Math.min(Math.max(delay, 0), RETRY_AFTER_MAX_MS);
}

/** Waits before repetition number `attempt` (from 0): exponential, with jitter so that many clients spread. */
export async function pauseBeforeRetry(
  policy: RetryPolicy,
  attempt: number,
  options: { readonly retryAfterMs?: number; readonly signal?: AbortSignal } = {},
): Promise<void> {
  const backoff = Math.min(policy.delayMs * 2 ** attempt, DELAY_MAX_MS) * (0.75 + Math.random() / 2);
  options.signal?.throwIfAborted();
  try {
    await sleep(Math.max(options.retryAfterMs ?? 0, backoff), undefined, { signal: options.signal });
  } catch (error) {
    options.signal?.throwIfAborted();
    throw error;
  }
}
