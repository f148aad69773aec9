import assert from "node:assert/strict";
import { test } from "node:test";
import { BuildError } from "../errors/build-error.ts";
import {
  formatPlatform,
  hostPlatform,
  isSamePlatform,
  normalizePlatform,
  parsePlatform,
} from "./platform.ts";

// Expected values: the documentation and tables of containerd's `platforms` package (v1.0), after Normalize.
test("parsePlatform() reads specifiers as containerd does", () => {
  const arm64Host = { os: "linux", architecture: "arm64" };
  const cases: readonly (readonly [string, string])[] = [
    ["linux/amd64", "linux/amd64"],
    ["Linux/X86_64", "linux/amd64"],
    ["linux/x86-64", "linux/amd64"],
    ["linux/amd64/v1", "linux/amd64"],
    ["linux/amd64/v3", "linux/amd64/v3"],
    ["linux/aarch64", "linux/arm64"],
    ["linux/arm64/v8", "linux/arm64"],
    ["linux/arm64/8", "linux/arm64"],
    ["linux/arm64/v9", "linux/arm64/v9"],
    ["linux/arm", "linux/arm/v7"],
    ["linux/arm/7", "linux/arm/v7"],
    ["linux/arm/v6", "linux/arm/v6"],
    ["linux/armhf", "linux/arm/v7"],
    ["linux/armel", "linux/arm/v6"],
    ["linux/i386", "linux/386"],
    ["macos/arm64", "darwin/arm64"],
    ["linux", "linux/arm64"],
    ["s390x", "linux/s390x"],
    ["armhf", "linux/arm/v7"],
    ["windows(10.0.17763)/amd64", "windows/amd64"],
  ];
  for (const [text, expected] of cases) {
    assert.equal(formatPlatform(parsePlatform(text, arm64Host)), expected, text);
  }
  assert.equal(parsePlatform("windows(10.0.17763)/amd64")["os.version"], "10.0.17763");
});

test("parsePlatform() refuses what is no platform", () => {
  for (const text of ["", "linux/", "/amd64", "linux/*", "a/b/c/d", "penguin", "linux/amd 64"]) {
    assert.throws(
      () => parsePlatform(text),
      (error) => error instanceof BuildError && error.code === "option-invalid",
      text,
    );
  }
});

test("normalizePlatform() leaves no empty fields and sorts features", () => {
  assert.deepEqual(normalizePlatform({ os: "linux", architecture: "arm64", variant: "v8" }), {
    os: "linux",
    architecture: "arm64",
  });
  assert.deepEqual(
    normalizePlatform({ os: "linux", architecture: "amd64", "os.features": ["b", "a", "b"] })["os.features"],
    ["a", "b"],
  );
});

test("isSamePlatform() compares meanings", () => {
  assert.ok(isSamePlatform({ os: "linux", architecture: "aarch64" }, parsePlatform("linux/arm64/v8")));
  assert.ok(!isSamePlatform(parsePlatform("linux/arm/v6"), parsePlatform("linux/arm")));
});

test("hostPlatform() translates Node's names", () => {
  const cases: readonly (readonly [string, string | undefined, string])[] = [
    ["x64", undefined, "linux/amd64"],
    ["ia32", undefined, "linux/386"],
    ["arm64", undefined, "linux/arm64"],
    ["arm", "6", "linux/arm/v6"],
    ["arm", undefined, "linux/arm/v7"],
    ["ppc64", undefined, "linux/ppc64le"],
    ["riscv64", undefined, "linux/riscv64"],
    ["s390x", undefined, "linux/s390x"],
  ];
  for (const [arch, armVersion, expected] of cases) {
    assert.equal(formatPlatform(hostPlatform(arch, armVersion)), expected);
  }
});
