import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { runSlipway, slipway } from "../slipway.ts";

const work = mkdtempSync(join(tmpdir(), "slipway-compare-"));
after(() => rmSync(work, { recursive: true, force: true }));
const root = join(work, "store");
const run = async (...args: readonly string[]) => (await slipway(args, { root })).stdout;

/** `old` and `new` share their first layer; files have as many bytes as their names say. */
before(async () => {
  const context = join(work, "context");
  mkdirSync(join(context, "base/lib/deep"), { recursive: true });
  for (const [path, size] of [
    ["base/lib/deep/7", 7],
    ["base/lib/2000", 2000],
    ["base/100", 100],
    ["other", 250],
  ] as const) {
    writeFileSync(join(context, path), "x".repeat(size));
  }
  const build = async (tag: string, lines: readonly string[]) => {
    writeFileSync(join(context, "Dockerfile"), `${lines.join("\n")}\n`);
    await run("build", "-q", "-t", tag, context);
  };
  await build("old", ["FROM scratch", "COPY base /"]);
  await build("new", [
    "FROM scratch",
    "COPY base /",
    "ENV A=b",
    "COPY other /lib/2000",
    "COPY --chmod=600 base/100 /100",
    "COPY other /added",
  ]);
});

test("size tells the bytes by instruction, the biggest directories and what later layers hide", async () => {
  const measure = JSON.parse(await run("size", "--format", "json", "new"));
  assert.equal(measure.sizeBytes, 2000 + 100 + 7 + 250 + 100 + 250);
  assert.equal(measure.hiddenBytes, 2100);
  const rows = measure.layers.map(
    ({ layer, createdBy, sizeBytes, fileCount, hiddenBytes }: Record<string, unknown>) =>
      [layer, createdBy, sizeBytes, fileCount, hiddenBytes].join(" "),
  );
  assert.deepEqual(rows, [
    "1 COPY base / # buildkit 2107 3 2100",
    "2 COPY other /lib/2000 # buildkit 250 1 0",
    "3 COPY --chmod=600 base/100 /100 # buildkit 100 1 0",
    "4 COPY other /added # buildkit 250 1 0",
  ]);
  assert.deepEqual(measure.directories, [
    { path: "/lib", sizeBytes: 257, fileCount: 2 },
    { path: "/lib/deep", sizeBytes: 7, fileCount: 1 },
  ]);
  assert.deepEqual(measure.hidden, [
    { path: "/lib/2000", sizeBytes: 2000, layer: 1, hiddenBy: 2, how: "overwritten" },
    { path: "/100", sizeBytes: 100, layer: 1, hiddenBy: 3, how: "overwritten" },
  ]);
});

test("size has tables for people", async () => {
  const text = await run("size", "--top", "1", "new");
  assert.match(text, /^2\.71kB in 4 layers, 2\.1kB of it overwritten or deleted by later ones\n\nLAYER /);
  assert.match(text, /^1 +2\.11kB +3 +\S+ +2\.1kB +COPY base \/ # buildkit$/m);
  assert.match(text, /^DIRECTORY +SIZE +FILES\n\/lib +257B +2\n\nHIDDEN FILE/m);
  assert.match(text, /^\/lib\/2000 +2kB +1 +overwritten by 2\n$/m);
  assert.match(
    (await runSlipway(["size", "--top", "x", "new"], { root })).stderr,
    /Cannot use "x" for --top/,
  );
});

test("size tells what the build left behind in other stages, as long as it is there", async () => {
  const context = mkdtempSync(join(work, "stages-"));
  for (const [name, size] of [
    ["sources", 3000],
    ["tools", 500],
    ["program", 40],
  ] as const) {
    writeFileSync(join(context, name), "x".repeat(size));
  }
  const lines = [
    "FROM scratch AS tools",
    "COPY tools /tools",
    "FROM scratch AS unused",
    "COPY sources /never-built",
    "FROM tools AS build",
    "COPY sources /src/sources",
    "COPY program /out/program",
    "FROM scratch",
    "COPY --from=build /out/program /program",
  ];
  writeFileSync(join(context, "Dockerfile"), `${lines.join("\n")}\n`);
  await run("build", "-q", "-t", "staged", context);
  const expected = [
    { stage: "build", stepCount: 2, sizeBytes: 3040, fileCount: 2 },
    { stage: "tools", stepCount: 1, sizeBytes: 500, fileCount: 1 },
  ];
  const measure = async (...where: readonly string[]) =>
    JSON.parse(await run("size", "--format", "json", ...where, "staged"));
  assert.equal((await measure()).sizeBytes, 40);
  assert.deepEqual((await measure()).leftBehind, expected);
  // From the cache, too.
  await run("build", "-q", "-t", "staged", context);
  assert.deepEqual((await measure()).leftBehind, expected);
  assert.match(
    await run("size", "staged"),
    /^LEFT BEHIND IN +SIZE +FILES +STEPS\nbuild +3\.04kB +2 +2\ntools +500B +1 +1\n$/m,
  );
  // A later build that made the same layer for another image changes nothing.
  writeFileSync(join(context, "sources"), "x".repeat(5000));
  writeFileSync(join(context, "Dockerfile"), `${lines.join("\n")}\nENV A=b\n`);
  await run("build", "-q", "-t", "later", context);
  assert.deepEqual((await measure()).leftBehind, expected);
  const later = JSON.parse(await run("size", "--format", "json", "later"));
  assert.equal(later.leftBehind[0].sizeBytes, 5040);
  // Elsewhere nothing is known of the build.
  const archive = join(context, "staged.tar");
  await run("save", "-o", archive, "staged");
  const other = join(work, "other");
  await run("load", "--root", other, "-i", archive);
  assert.equal((await measure("--root", other)).leftBehind, undefined);
});

test("size does not take an image for another platform for something left behind", async () => {
  const context = mkdtempSync(join(work, "platforms-"));
  for (const [name, size] of [
    ["amd64", 5000],
    ["arm64", 9000],
    ["tool", 70],
  ] as const) {
    writeFileSync(join(context, name), "x".repeat(size));
  }
  const lines = ["FROM scratch AS tools", "COPY tool /", "FROM scratch", "ARG TARGETARCH"];
  const copies = ["COPY --from=tools --chmod=700 /tool /t", "COPY $TARGETARCH /"];
  writeFileSync(join(context, "Dockerfile"), [...lines, ...copies].join("\n"));
  await run("build", "-q", "-t", "several", "--platform", "linux/amd64,linux/arm64", context);
  for (const platform of ["linux/amd64", "linux/arm64"]) {
    const { leftBehind } = JSON.parse(await run("size", "--format=json", "--platform", platform, "several"));
    assert.deepEqual(leftBehind, [{ stage: "tools", stepCount: 1, sizeBytes: 70, fileCount: 1 }]);
  }
});

test("diff tells what was added, removed and changed, and by which layer", async () => {
  const [list, summary] = (await run("diff", "old", "new")).split("\n\n");
  assert.deepEqual(list!.split("\n"), [
    "C 3 /100 (mode 0644 -> 0600)",
    "A 4 /added 250B",
    "C 2 /lib/2000 (content 2kB -> 250B)",
  ]);
  assert.match(summary!, /^IMAGE +LAYER +ADDED +CHANGED +REMOVED +CREATED BY$/m);
  assert.match(summary!, /^new +4 +1 +- +- +COPY other \/added # buildkit$/m);
  assert.match(await run("diff", "new", "old"), /^D 4 \/added 250B$/m);
  assert.equal(await run("diff", "new", "new"), "");
});

test("diff --format json has an object a line", async () => {
  const lines = (await run("diff", "--format", "json", "old", "new")).trim().split("\n");
  const [mode, added] = lines.map((line) => JSON.parse(line));
  assert.deepEqual(mode.what, ["mode"]);
  assert.deepEqual([mode.before.mode, mode.after.mode], ["0644", "0600"]);
  assert.deepEqual(added, {
    kind: "added",
    path: "/added",
    layer: 4,
    createdBy: "COPY other /added # buildkit",
    after: { type: "file", mode: "0644", uid: 0, gid: 0, sizeBytes: 250 },
  });
});
