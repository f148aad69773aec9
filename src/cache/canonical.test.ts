import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { type Canonical, digestCanonical } from "./canonical.ts";

const plainData = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.string({ unit: "binary" }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie("value"), { maxKeys: 4 }),
  ),
})).value as fc.Arbitrary<Canonical>;

it("two different values never have the same digest", () => {
  fc.assert(
    fc.property(plainData, plainData, (one, other) => {
      // -0 and 0 are one number.
      const isSame = JSON.stringify(sortKeys(one)) === JSON.stringify(sortKeys(other));
      assert.equal(digestCanonical(one) === digestCanonical(other), isSame);
    }),
    { numRuns: 2000 },
  );
});

it("the order of keys and absent fields do not count", () => {
  assert.equal(digestCanonical({ a: 1, b: undefined, c: "x" }), digestCanonical({ c: "x", a: 1 }));
});

it("where one part ends and the next begins counts", () => {
  assert.notEqual(digestCanonical(["ab", "c"]), digestCanonical(["a", "bc"]));
  assert.notEqual(digestCanonical([["a"], []]), digestCanonical([[], ["a"]]));
  assert.notEqual(digestCanonical("1"), digestCanonical(1));
  assert.notEqual(digestCanonical(Buffer.from("a")), digestCanonical("a"));
});

function sortKeys(value: Canonical): unknown {
  if (typeof value === "number") return value === 0 ? 0 : value;
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value as Record<string, Canonical>);
  return { object: entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, sortKeys(item)]) };
}
