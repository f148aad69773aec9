import assert from "node:assert/strict";
import { test } from "node:test";
import { isTransientError, isTransientStatus, parseRetryAfter } from "./retry-policy.ts";

test("parseRetryAfter() reads seconds and dates, within reason", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  const cases: readonly (readonly [string | undefined, number | undefined])[] = [
    [undefined, undefined],
    ["soon", undefined],
    ["0", 0],
    ["7", 7000],
    ["Thu, 01 Jan 2026 00:00:09 GMT", 9000],
    ["Wed, 31 Dec 2025 23:59:00 GMT", 0],
    ["86400", 120_000],
  ];
  for (const [header, expected] of cases) assert.equal(parseRetryAfter(header, now), expected, header);
});

test("only what may pass is tried again", () => {
  assert.deepEqual(
    [400, 401, 404, 408, 416, 429, 500, 501, 502, 503, 504].filter(isTransientStatus),
    [408, 429, 500, 502, 503, 504],
  );
  const failed = (code: string) => Object.assign(new Error(code), { code });
  for (const code of [
    "ECONNRESET",
    "ETIMEDOUT",
    "EPIPE",
    "EAI_AGAIN",
    "UND_ERR_SOCKET",
    "UND_ERR_BODY_TIMEOUT",
  ]) {
    assert.ok(isTransientError(failed(code)), code);
    assert.ok(isTransientError(new Error("outer", { cause: failed(code) })), code);
  }
  for (const code of ["ECONNREFUSED", "ENOTFOUND", "CERT_HAS_EXPIRED", "ERR_SSL_WRONG_VERSION_NUMBER"]) {
    assert.ok(!isTransientError(failed(code)), code);
  }
  assert.ok(!isTransientError(new TypeError("a bug")));
});
