import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { type MemberLike, makeLayer, makeTemporaryDirectory } from "../../test/make-layers.ts";
import type { Layer } from "./layer.ts";
import { pathToText } from "./rootfs-path.ts";
import { squashLayers } from "./squash-layers.ts";
import { openUnionTree } from "./union-tree.ts";

const LAYERS: readonly (readonly MemberLike[])[] = [
  [
    { name: "a/", mode: 0o700 },
    { name: "a/f", content: "f0" },
    { name: "a/sub/" },
    { name: "a/sub/g" },
    { name: "b/" },
    { name: "b/old" },
    { name: "turns/" },
    { name: "turns/in" },
    { name: "file" },
    { name: "kept", content: "kept" },
  ],
  [
    { name: "a/", mode: 0o711 },
    { name: "a/f", content: "f1" },
    { name: "a/.wh.sub" },
    { name: "b/" },
    { name: "b/.wh..wh..opq" },
    { name: "b/tmp" },
    { name: "b/new", content: "n" },
    { name: "b/hard", type: "hardlink", linkName: "b/new" },
  ],
  [
    { name: "b/", uid: 5 },
    { name: "b/.wh.tmp" },
    { name: "turns", type: "symlink", linkName: "a", mode: 0o777 },
    { name: "file/" },
    { name: "file/x", content: "x" },
    { name: "copy-of-kept", type: "hardlink", linkName: "kept" },
  ],
];

function show(layers: readonly Layer[]): string[] {
  using tree = openUnionTree(layers);
  const groups = new Map<string, number>();
  return [...tree.walk()].map((item) => {
    const { path, type, mode, uid, linkTarget = "", hardLinkOf } = item.entry;
    const key = hardLinkOf === undefined ? "" : `${item.layer} ${hardLinkOf}`;
    if (key !== "" && !groups.has(key)) groups.set(key, groups.size);
    const content = type === "file" ? tree.readWhole(item).toString() : "";
    return `${pathToText(path)} ${type} ${mode.toString(8)} ${uid} ${linkTarget}${content} ${groups.get(key) ?? ""}`;
  });
}

test("squashLayers() shows what all layers show, over any number of kept ones", async (t) => {
  const at = makeTemporaryDirectory(t);
  const layers: Layer[] = [];
  for (const members of LAYERS) layers.push(await makeLayer(join(at, "layers"), members));
  const expected = show(layers);
  assert.ok(expected.some((line) => line.startsWith("/copy-of-kept file 644 0 kept")));
  for (const kept of [0, 1, 2]) {
    const { layer } = squashLayers({ layers, kept, layersDirectory: join(at, `squashed-${kept}`) });
    assert.deepEqual(show([...layers.slice(0, kept), layer]), expected, `${kept} kept`);
  }
});
