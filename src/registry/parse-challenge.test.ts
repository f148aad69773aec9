import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseChallenges } from "./parse-challenge.ts";

test("parseChallenges() reads what registries send", () => {
  assert.deepEqual(
    parseChallenges(
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
    ),
    [
      {
        scheme: "bearer",
        parameters: {
          realm: "https://auth.docker.io/token",
          service: "registry.docker.io",
          scope: "repository:a/b:pull,push",
        },
      },
    ],
  );
  assert.deepEqual(parseChallenges('Basic realm="a \\"quoted\\" one"'), [
    { scheme: "basic", parameters: { realm: 'a "quoted" one' } },
  ]);
});

test("parseChallenges() keeps several challenges apart", () => {
  assert.deepEqual(parseChallenges('Negotiate, BEARER Realm = "x" , error=invalid_token, Basic realm="y"'), [
    { scheme: "negotiate", parameters: {} },
    { scheme: "bearer", parameters: { realm: "x", error: "invalid_token" } },
    { scheme: "basic", parameters: { realm: "y" } },
  ]);
  assert.deepEqual(parseChallenges(""), []);
});

test("parseChallenges() ends on any text", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'aB=",\\ ;/\t') }), (text) => {
      assert.ok(Array.isArray(parseChallenges(text)));
    }),
  );
});
