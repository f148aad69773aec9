import assert from "node:assert/strict";
import { test } from "node:test";
import { choosePlatform, describePlatforms, isCompatiblePlatform } from "./choose-platform.ts";
import { parsePlatform } from "./platform.ts";

/** Entries named by their platform; `-` has none. */
const entries = (text: string) =>
  text.split(" ").map((name) => ({ name, ...(name === "-" ? {} : { platform: parseRaw(name) }) }));

/** Unlike parsePlatform(), keeps what an index says as it is. */
function parseRaw(name: string) {
  const [os = "", architecture = "", variant] = name.split("/");
  return { os, architecture, variant };
}

// Expected values: the documentation of containerd's `platforms.Only` (v1.0).
test("choosePlatform() takes the same platform, then the best that also runs", () => {
  const cases: readonly (readonly [offered: string, wanted: string, chosen: string | undefined])[] = [
    ["linux/amd64 linux/arm64", "linux/arm64", "linux/arm64"],
    ["linux/arm64/v8 linux/amd64", "linux/arm64", "linux/arm64/v8"],
    ["linux/arm64", "linux/arm64/v8", "linux/arm64"],
    ["linux/arm/v5 linux/arm/v7 linux/arm/v6", "linux/arm/v7", "linux/arm/v7"],
    ["linux/arm/v5 linux/arm/v6", "linux/arm/v7", "linux/arm/v6"],
    ["linux/arm/v7", "linux/arm/v6", undefined],
    ["linux/arm", "linux/arm/v7", "linux/arm"],
    ["linux/arm/v6 linux/arm/v7", "linux/arm64", "linux/arm/v7"],
    ["linux/arm64 linux/arm/v7", "linux/arm/v7", "linux/arm/v7"],
    ["linux/386", "linux/amd64", "linux/386"],
    ["linux/386 linux/amd64", "linux/amd64", "linux/amd64"],
    ["linux/amd64", "linux/386", undefined],
    ["linux/amd64 linux/amd64/v2 linux/amd64/v4", "linux/amd64/v3", "linux/amd64/v2"],
    ["linux/amd64/v2", "linux/amd64", undefined],
    ["linux/arm64 linux/arm64/v8.2 linux/arm64/v9", "linux/arm64/v9.1", "linux/arm64/v9"],
    ["linux/arm64 linux/arm64/v8.5", "linux/arm64/v9", "linux/arm64/v8.5"],
    ["windows/amd64", "linux/amd64", undefined],
    ["unknown/unknown linux/amd64", "linux/amd64", "linux/amd64"],
    ["unknown/unknown", "linux/amd64", undefined],
    ["- linux/amd64", "linux/amd64", "linux/amd64"],
    ["linux/arm64 -", "linux/amd64", "-"],
  ];
  for (const [offered, wanted, chosen] of cases) {
    assert.equal(
      choosePlatform(entries(offered), parsePlatform(wanted))?.name,
      chosen,
      `${wanted} from ${offered}`,
    );
  }
});

test("choosePlatform() takes the first of equals, and none that needs features nobody asked for", () => {
  const linux = { os: "linux", architecture: "amd64" };
  const list = [
    { name: "featured", platform: { ...linux, "os.features": ["x"] } },
    { name: "first", platform: linux },
    { name: "second", platform: linux },
  ];
  assert.equal(choosePlatform(list, linux)?.name, "first");
  assert.equal(choosePlatform(list, { ...linux, "os.features": ["x"] })?.name, "featured");
});

test("isCompatiblePlatform() has a direction", () => {
  assert.ok(isCompatiblePlatform(parsePlatform("linux/arm/v6"), parsePlatform("linux/arm/v7")));
  assert.ok(!isCompatiblePlatform(parsePlatform("linux/arm/v7"), parsePlatform("linux/arm/v6")));
});

test("describePlatforms() leaves attestations out", () => {
  assert.equal(
    describePlatforms(entries("linux/amd64 unknown/unknown linux/arm64/v8 -")),
    "linux/amd64, linux/arm64",
  );
});
