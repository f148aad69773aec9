import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type MemberLike, makeLayer, makeTemporaryDirectory } from "../../test/make-layers.ts";
import { compareTrees } from "./compare-trees.ts";
import { findHidden } from "./find-hidden.ts";
import { measureDirectories } from "./measure-directories.ts";
import { pathToText } from "./rootfs-path.ts";
import { openUnionTree, type UnionTree } from "./union-tree.ts";

type Members = readonly MemberLike[];

async function makeAll(t: TestContext, layers: readonly Members[]) {
  const directory = makeTemporaryDirectory(t);
  const made = [];
  for (const members of layers) made.push(await makeLayer(directory, members));
  return made;
}

async function unionOf(t: TestContext, ...layers: readonly Members[]): Promise<UnionTree> {
  const tree = openUnionTree(await makeAll(t, layers));
  t.after(() => tree[Symbol.dispose]());
  return tree;
}

test("findHidden() tells what later layers overwrite, delete, or cover with an opaque directory or a file", async (t) => {
  const layers = await makeAll(t, [
    [
      { name: "a/" },
      { name: "a/gone", content: "12345" },
      { name: "a/kept", content: "1" },
      { name: "a/new", content: "123" },
      { name: "b/" },
      { name: "b/deep/" },
      { name: "b/deep/1", content: "1234567" },
      { name: "c/" },
      { name: "c/again", content: "12" },
      { name: "c/lost", content: "1234" },
      { name: "d/" },
      { name: "d/1", content: "1" },
    ],
    [
      { name: "a/" },
      { name: "a/.wh.gone" },
      { name: "a/new", content: "xyzxyz" },
      { name: ".wh.b" },
      { name: "c/" },
      { name: "c/.wh..wh..opq" },
      { name: "c/again", content: "21" },
      { name: "d", content: "a file now" },
    ],
    [{ name: "a/new", content: "third" }, { name: "a/.wh.gone" }],
  ]);
  const found = (position: number) =>
    [...findHidden(layers, position)].flatMap((hidden) => {
      if (hidden === undefined) return [];
      const { path, sizeBytes, layer, hiddenBy, how } = hidden;
      return `${pathToText(path)} ${sizeBytes} of ${layer} ${how} by ${hiddenBy}`;
    });
  assert.deepEqual(found(0), []);
  assert.deepEqual(found(1), [
    "/a/gone 5 of 0 deleted by 1",
    "/a/new 3 of 0 overwritten by 1",
    "/b/deep/1 7 of 0 deleted by 1",
    "/c/again 2 of 0 overwritten by 1",
    "/c/lost 4 of 0 deleted by 1",
    "/d/1 1 of 0 deleted by 1",
  ]);
  assert.deepEqual(found(2), ["/a/new 6 of 1 overwritten by 2"]);
});

test("measureDirectories() adds up what is below, counts hard links once and hidden files never", async (t) => {
  const tree = await unionOf(
    t,
    [
      { name: "a/" },
      { name: "a/1", content: "12345" },
      { name: "a/2", type: "hardlink", linkName: "a/1" },
      { name: "a/b/" },
      { name: "a/b/3", content: "123" },
      { name: "a-b/" },
      { name: "a-b/4", content: "1234567890" },
    ],
    [{ name: "a/b/3", content: "1" }],
  );
  const sizes = [...measureDirectories(tree.walk())].map(
    ({ path, sizeBytes, fileCount }) => `${pathToText(path)} ${sizeBytes} ${fileCount}`,
  );
  assert.deepEqual(sizes, ["/a/b 1 1", "/a 6 3", "/a-b 10 1", "/ 16 4"]);
});

test("compareTrees() tells what was added, removed and changed, and in what", async (t) => {
  const before = await unionOf(t, [
    { name: "d/" },
    { name: "d/content", content: "old" },
    { name: "d/same", content: "same", mtime: 1 },
    { name: "d/mode", mode: 0o644 },
    { name: "d/type" },
    { name: "d/link", type: "symlink", linkName: "a" },
    { name: "gone/" },
    { name: "gone/1" },
  ]);
  const after = await unionOf(
    t,
    [
      { name: "d/", mode: 0o755 },
      { name: "d/content", content: "new" },
      { name: "d/same", content: "same", mtime: 2 },
      { name: "d/mode", mode: 0o600, uid: 7 },
      { name: "d/type/" },
      { name: "d/link", type: "symlink", linkName: "b" },
    ],
    [{ name: "d/added", content: "x" }],
  );
  const changes = [...compareTrees(before, after)].flatMap((change) => {
    if (change === undefined) return [];
    const { entry, layer } = change.kind === "removed" ? change.before : change.after;
    const what = change.kind === "changed" ? ` ${change.what}` : "";
    return `${change.kind} ${pathToText(entry.path)} ${layer}${what}`;
  });
  assert.deepEqual(changes, [
    "added /d/added 1",
    "changed /d/content 0 content",
    "changed /d/link 0 link",
    "changed /d/mode 0 mode,owner",
    "changed /d/type 0 type,mode",
    "removed /gone 0",
    "removed /gone/1 0",
  ]);
  assert.deepEqual(
    [...compareTrees(after, after)].filter((change) => change !== undefined),
    [],
  );
});
