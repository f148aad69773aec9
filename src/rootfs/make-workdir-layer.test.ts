import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { type MemberLike, makeLayer, makeTemporaryDirectory } from "../../test/make-layers.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import { IndexReader } from "./index-reader.ts";
import { makeWorkdirLayer } from "./make-workdir-layer.ts";
import type { Owner } from "./resolve-owner.ts";
import { pathFromText } from "./rootfs-path.ts";
import { openUnionTree } from "./union-tree.ts";

const members: readonly MemberLike[] = [
  { name: "srv/", mode: 0o1770, uid: 3, gid: 4, mtime: 55, xattrs: { "user.x": Buffer.from("y") } },
  { name: "link", type: "symlink", linkName: "/srv" },
  { name: "f" },
  { name: "shared/", mode: 0o2775, uid: 5, gid: 6, mtime: 55 },
];

async function workdir(t: TestContext, path: string, owner: Owner | null = { uid: 7, gid: 8 }) {
  const layersDirectory = makeTemporaryDirectory(t);
  const base = [await makeLayer(layersDirectory, members)];
  const made = makeWorkdirLayer({ base, path, owner: owner ?? undefined, layersDirectory, mtime: 99 });
  using index = new IndexReader(made.layer.indexPath);
  const listed = [...index.scan("" as RootfsPath)].filter((entry) => !entry.implicit);
  return { ...made, base, listed };
}

const summary = (entry: Entry) => [entry.path, entry.mode, entry.uid, entry.gid, entry.mtime];

test("makeWorkdirLayer() makes what is missing and lists parents as they are below", async (t) => {
  const { listed, layer, base } = await workdir(t, "/srv/app/sub");
  assert.deepEqual(listed.map(summary), [
    ["srv", 0o1770, 3, 4, 55],
    ["srv/app", 0o755, 7, 8, 99],
    ["srv/app/sub", 0o755, 7, 8, 99],
  ]);
  assert.equal(Buffer.from(listed[0]!.xattrs!["user.x"]!).toString(), "y");
  using tree = openUnionTree([...base, layer]);
  assert.equal(tree.lookup(pathFromText("/srv"))!.entry.mode, 0o1770);
});

test("makeWorkdirLayer() follows links, and is empty for a directory that exists", async (t) => {
  assert.deepEqual((await workdir(t, "/link/new")).listed.map(summary).at(-1), ["srv/new", 0o755, 7, 8, 99]);
  for (const path of ["/srv", "/link", "/"]) {
    const { layer, diffId } = await workdir(t, path);
    assert.ok(layer.content.kind === "tar");
    assert.deepEqual(readFileSync(layer.content.tarPath), Buffer.alloc(1024));
    assert.equal(diffId, digestBytes(Buffer.alloc(1024)));
  }
});

test("makeWorkdirLayer() hands setgid and the group on, as mkdir(2) does in docker's builder", async (t) => {
  const nobodyNamed = (await workdir(t, "/shared/a/b", null)).listed.map(summary);
  assert.deepEqual(nobodyNamed, [
    ["shared", 0o2775, 5, 6, 55],
    ["shared/a", 0o2755, 0, 6, 99],
    ["shared/a/b", 0o2755, 0, 6, 99],
  ]);
  assert.deepEqual((await workdir(t, "/shared/c")).listed.map(summary).at(-1), [
    "shared/c",
    0o2755,
    7,
    8,
    99,
  ]);
});

test("makeWorkdirLayer() refuses a path through a file", async (t) => {
  await assert.rejects(workdir(t, "/f"), {
    code: "copy-failed",
    message: /"\/f" exists and is no directory/,
  });
  await assert.rejects(workdir(t, "/f/x"), { code: "copy-failed", message: /"\/f" is no directory/ });
});
