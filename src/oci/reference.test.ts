import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BuildError } from "../errors/build-error.ts";
import { familiarName, formatImageReference, type ImageReference, parseImageReference } from "./reference.ts";

const F64 = "f".repeat(64);
const SHA = `sha256:${F64}` as const;

// Expected values: the distribution project's `reference` package, its documentation and grammar.
const VALID: readonly (readonly [string, ImageReference, familiar: string])[] = [
  ["alpine", { registry: "docker.io", repository: "library/alpine", tag: "latest" }, "alpine:latest"],
  ["alpine:3.20", { registry: "docker.io", repository: "library/alpine", tag: "3.20" }, "alpine:3.20"],
  [
    "docker.io/alpine",
    { registry: "docker.io", repository: "library/alpine", tag: "latest" },
    "alpine:latest",
  ],
  [
    "index.docker.io/library/alpine",
    { registry: "docker.io", repository: "library/alpine", tag: "latest" },
    "alpine:latest",
  ],
  ["me/tool", { registry: "docker.io", repository: "me/tool", tag: "latest" }, "me/tool:latest"],
  [
    "docker.io/library/a/b",
    { registry: "docker.io", repository: "library/a/b", tag: "latest" },
    "library/a/b:latest",
  ],
  ["localhost/a", { registry: "localhost", repository: "a", tag: "latest" }, "localhost/a:latest"],
  [
    "localhost:5000/a",
    { registry: "localhost:5000", repository: "a", tag: "latest" },
    "localhost:5000/a:latest",
  ],
  [
    "localhost",
    { registry: "docker.io", repository: "library/localhost", tag: "latest" },
    "localhost:latest",
  ],
  ["test.com:5000", { registry: "docker.io", repository: "library/test.com", tag: "5000" }, "test.com:5000"],
  ["test:5000/repo", { registry: "test:5000", repository: "repo", tag: "latest" }, "test:5000/repo:latest"],
  ["test:5000/repo:5050", { registry: "test:5000", repository: "repo", tag: "5050" }, "test:5000/repo:5050"],
  ["Foo/bar", { registry: "Foo", repository: "bar", tag: "latest" }, "Foo/bar:latest"],
  [
    "foo/foo_bar.com:8080",
    { registry: "docker.io", repository: "foo/foo_bar.com", tag: "8080" },
    "foo/foo_bar.com:8080",
  ],
  [
    "lowercase:Uppercase",
    { registry: "docker.io", repository: "library/lowercase", tag: "Uppercase" },
    "lowercase:Uppercase",
  ],
  [`repo@${SHA}`, { registry: "docker.io", repository: "library/repo", digest: SHA }, `repo@${SHA}`],
  [
    `test:5000/repo:tag@${SHA}`,
    { registry: "test:5000", repository: "repo", tag: "tag", digest: SHA },
    `test:5000/repo:tag@${SHA}`,
  ],
  [
    "[::1]:5000/repo",
    { registry: "[::1]:5000", repository: "repo", tag: "latest" },
    "[::1]:5000/repo:latest",
  ],
  [
    "[2001:db8::1]/repo:tag",
    { registry: "[2001:db8::1]", repository: "repo", tag: "tag" },
    "[2001:db8::1]/repo:tag",
  ],
  [
    "xn--n3h.com/a:xn--n3h.com",
    { registry: "xn--n3h.com", repository: "a", tag: "xn--n3h.com" },
    "xn--n3h.com/a:xn--n3h.com",
  ],
  [
    "a--b/c__d/e.f-g",
    { registry: "docker.io", repository: "a--b/c__d/e.f-g", tag: "latest" },
    "a--b/c__d/e.f-g:latest",
  ],
  [
    `x.y/${"a".repeat(255)}`,
    { registry: "x.y", repository: "a".repeat(255), tag: "latest" },
    `x.y/${"a".repeat(255)}:latest`,
  ],
  [
    `a:_${"b".repeat(127)}`,
    { registry: "docker.io", repository: "library/a", tag: `_${"b".repeat(127)}` },
    `a:_${"b".repeat(127)}`,
  ],
];

test("parseImageReference() and familiarName() read and write names as docker does", () => {
  for (const [text, expected, familiar] of VALID) {
    const reference = parseImageReference(text);
    assert.deepEqual(reference, expected, text);
    assert.equal(familiarName(reference), familiar);
    assert.deepEqual(parseImageReference(familiar), expected);
    assert.deepEqual(parseImageReference(formatImageReference(reference)), expected);
  }
});

test("formatImageReference() writes everything out", () => {
  assert.equal(formatImageReference(parseImageReference("alpine")), "docker.io/library/alpine:latest");
  assert.equal(
    formatImageReference(parseImageReference(`localhost:5000/a:b@${SHA}`)),
    `localhost:5000/a:b@${SHA}`,
  );
});

const INVALID: readonly (readonly [string, RegExp])[] = [
  ["", /it is empty/],
  [":justtag", /the repository is missing/],
  [`@${SHA}`, /the repository is missing/],
  ["test:5000/", /the repository is missing/],
  [F64, /image id/],
  ["Uppercase:tag", /must be lowercase/],
  ["test:5000/Uppercase/lowercase:tag", /must be lowercase/],
  ["a//b", /not a repository's name/],
  ["a/b/", /not a repository's name/],
  ["a___b", /not a repository's name/],
  ["a..b", /not a repository's name/],
  ["-a/b", /not a repository's name/],
  ["a b", /not a repository's name/],
  ["aa/asdf$$^/aa", /not a repository's name/],
  ["http://localhost/a", /not a registry's host|not a repository's name/],
  ["-bad.com/a", /not a registry's host/],
  ["bad..com/a", /not a registry's host/],
  ["host:port/a", /not a registry's host/],
  ["[2001:db8::1]", /not a repository's name|not a tag/],
  ["[fe80::1%eth0]:5000/repo", /not a registry's host/],
  ["a:", /not a tag/],
  ["a:-b", /not a tag/],
  ["a:.b", /not a tag/],
  [`a:${"b".repeat(129)}`, /not a tag/],
  ["a:b:c", /not a repository's name/],
  [`x.y/${"a".repeat(256)}`, /at most 255 characters, not 256/],
  ["repo@sha256:ffff", /is not a digest/],
  [`repo@sha256:${"F".repeat(64)}`, /is not a digest/],
  [`repo@sha512:${"f".repeat(128)}`, /digests of the kind "sha512" are not supported/],
  ["repo@", /is not a digest/],
];

test("parseImageReference() says which rule a bad name breaks", () => {
  for (const [text, reason] of INVALID) {
    assert.throws(
      () => parseImageReference(text),
      (error) => error instanceof BuildError && error.code === "option-invalid" && reason.test(error.message),
      text,
    );
  }
});

test("any reference of the grammar survives writing and reading", () => {
  const component = fc.stringMatching(/^[a-z0-9]{1,4}(([._]|__|-{1,3})[a-z0-9]{1,4}){0,2}$/);
  const registry = fc.oneof(
    fc.constant("docker.io"),
    fc.stringMatching(/^[a-z0-9]{1,5}(-[a-z0-9]{1,3})?\.[a-z]{2,3}(:[0-9]{1,5})?$/),
    fc.stringMatching(/^localhost(:[0-9]{1,5})?$/),
    fc.stringMatching(/^\[[a-f0-9]{0,4}::[a-f0-9]{1,4}\](:[0-9]{1,5})?$/),
  );
  const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}$/);
  fc.assert(
    fc.property(
      registry,
      fc.array(component, { minLength: 2, maxLength: 4 }),
      fc.option(tag, { nil: undefined }),
      fc.boolean(),
      (host, parts, tagText, hasDigest) => {
        const reference: ImageReference = {
          registry: host,
          repository: parts.join("/"),
          ...(tagText !== undefined ? { tag: tagText } : hasDigest ? {} : { tag: "latest" }),
          ...(hasDigest ? { digest: SHA } : {}),
        };
        assert.deepEqual(parseImageReference(formatImageReference(reference)), reference);
      },
    ),
  );
});
