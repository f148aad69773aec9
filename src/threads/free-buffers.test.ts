import assert from "node:assert/strict";
import { test } from "node:test";
import { freeUsedUp } from "./free-buffers.ts";

test("freeUsedUp() frees a buffer with its last piece, and not before", () => {
  const buffer = new ArrayBuffer(8);
  freeUsedUp(new Uint8Array(buffer, 0, 4));
  assert.equal(buffer.detached, false);
  freeUsedUp(new Uint8Array(buffer, 4, 4));
  assert.equal(buffer.detached, true);
});
