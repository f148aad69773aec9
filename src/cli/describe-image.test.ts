import assert from "node:assert/strict";
import { test } from "node:test";
import { trimFraction } from "./describe-image.ts";

test("trimFraction() writes times as Go's RFC3339Nano does", () => {
  // Package time: "a fractional second with trailing zeros removed".
  for (const [time, expected] of [
    ["2026-01-01T00:00:00.120Z", "2026-01-01T00:00:00.12Z"],
    ["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00Z"],
    ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"],
    ["2026-01-01T00:00:00.102Z", "2026-01-01T00:00:00.102Z"],
    ["2026-01-01T00:00:00.100+01:00", "2026-01-01T00:00:00.1+01:00"],
  ]) {
    assert.equal(trimFraction(time!), expected);
  }
});
