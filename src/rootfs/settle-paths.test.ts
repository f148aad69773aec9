import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { isReadable, type MemberLike, makeLayers, makeTemporaryDirectory } from "../../test/make-layers.ts";
import { BuildError } from "../errors/build-error.ts";
import type { Layer } from "./layer.ts";
import { selectCopy } from "./select-copy.ts";
import { type LayersNeeded, settlePaths } from "./settle-paths.ts";

type Members = readonly MemberLike[];

const DIRECTORY: Members = [{ name: "d/" }, { name: "d/f", content: "top" }];
const link = (name: string, linkName: string): MemberLike => ({ name, type: "symlink", linkName });
const hardLink = (name: string, linkName: string): MemberLike => ({ name, type: "hardlink", linkName });

/** The upper layers of an image, bottom first, a path, and what it takes below them. */
const CASES: readonly (readonly [string, readonly Members[], string, LayersNeeded])[] = [
  ["a file of the top layer", [DIRECTORY], "/d/f", "none"],
  ["a file that is not there yet", [DIRECTORY], "/d/g", "next"],
  ["a directory that lets through what is below", [DIRECTORY], "/d", "all"],
  ["the root", [DIRECTORY], "/", "all"],
  ["an opaque directory", [[...DIRECTORY, { name: "d/.wh..wh..opq" }]], "/d", "none"],
  ["what an opaque directory lacks", [[...DIRECTORY, { name: "d/.wh..wh..opq" }]], "/d/g", "none"],
  ["a whiteout", [[{ name: "d/" }, { name: "d/.wh.f" }]], "/d/f", "none"],
  ["what is below a whiteout", [[{ name: ".wh.d" }]], "/d/f", "none"],
  ["a directory over a file", [[{ name: "d" }], DIRECTORY], "/d", "none"],
  ["a directory over a whiteout", [[{ name: ".wh.d" }], DIRECTORY], "/d", "none"],
  ["a file in a directory that no layer lists", [[{ name: "d/f" }]], "/d/f", "next"],
  ["a file in a directory that a lower layer lists", [DIRECTORY, [{ name: "d/f" }]], "/d/f", "none"],
  ["a file beside a directory that no layer lists", [[...DIRECTORY, { name: "x/y" }]], "/d/f", "next"],
  ["a file under a symlink of a lower layer", [[link("d", "e")], [{ name: "d/f" }]], "/d/f", "next"],
  ["a symlink to what is here", [[...DIRECTORY, link("l", "d/f")]], "/l", "none"],
  ["a symlink to what is not", [[{ name: "d/" }, link("l", "/d/f")]], "/l", "next"],
  ["a symlink on the way", [[...DIRECTORY, link("l", "d")]], "/l/f", "none"],
  ["a symlink on the way to nowhere yet", [[link("l", "d")]], "/l/f", "next"],
  ["symlinks in a circle", [[link("l", "m"), link("m", "l")]], "/l", "none"],
  ["a way through a file", [[{ name: "d" }]], "/d/f", "none"],
  ["a hard link into a layer that is not here", [[hardLink("h", "d/f")]], "/h", "next"],
  ["a hard link into a layer that is here", [DIRECTORY, [hardLink("h", "d/f")]], "/h", "none"],
  [
    "an opaque directory with a hard link that leads out of it",
    [[{ name: "d/" }, { name: "d/.wh..wh..opq" }, hardLink("d/h", "f")]],
    "/d",
    "all",
  ],
];

test("settlePaths() knows when no lower layer can change what a path is", async (t) => {
  const directory = makeTemporaryDirectory(t);
  for (const [name, members, path, expected] of CASES) {
    const layers = await makeLayers(directory, members);
    assert.equal(settlePaths({ layers, paths: [path] }), expected, name);
  }
});

test("settlePaths() asks for what the least settled of its paths needs", async (t) => {
  const layers = await makeLayers(makeTemporaryDirectory(t), [DIRECTORY]);
  assert.equal(settlePaths({ layers, paths: ["/d/f", "/d"] }), "all");
  assert.equal(settlePaths({ layers, paths: ["/d", "/d/g"] }), "next");
});

const NAMES = ["a", "b"];
const path = fc
  .array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join("/"));
const member: fc.Arbitrary<MemberLike> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ name: path, content: fc.constantFrom("1", "2", "3") }) },
  { weight: 2, arbitrary: path.map((name) => ({ name: `${name}/` })) },
  { weight: 2, arbitrary: fc.tuple(path, path).map(([name, to]) => link(name, `/${to}`)) },
  { weight: 1, arbitrary: fc.tuple(path, path).map(([name, to]) => hardLink(name, to)) },
  { weight: 2, arbitrary: path.map((name) => ({ name: name.replace(/[^/]*$/, ".wh.$&") })) },
  { weight: 2, arbitrary: path.map((name) => ({ name: `${name}/.wh..wh..opq` })) },
);
/** As docker writes them, parents are listed; now and then they are not. */
const layer = fc
  .tuple(fc.integer({ max: 4, min: 0 }), fc.array(member, { minLength: 1, maxLength: 5 }))
  .map(([rare, members]) =>
    rare === 0 ? members : [...NAMES.map((name) => ({ name: `${name}/` })), ...members],
  );

test("what is settled by upper layers is what all layers say (property)", async (t) => {
  const directory = makeTemporaryDirectory(t);
  let settled = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(layer, { minLength: 2, maxLength: 4 }), path, async (images, source) => {
      const all = await makeLayers(directory, images).catch(() => []);
      // Layers that contradict themselves or each other are no image.
      if (!all.every((_, at) => isReadable(all.slice(0, at + 1)))) return;
      for (let count = 1; count < all.length; count++) {
        const layers = all.slice(-count);
        if (settlePaths({ layers, paths: [`/${source}`] }) !== "none") continue;
        settled++;
        assert.equal(outcome(directory, layers, source), outcome(directory, all, source));
      }
    }),
    { numRuns: 400 },
  );
  t.diagnostic(`${settled} were settled by upper layers`);
  assert.ok(settled > 0);
});

/** The digest of what would be copied, or why nothing is. */
function outcome(temporaryDirectory: string, layers: readonly Layer[], source: string): string {
  try {
    const { contentDigest, selectionPath } = selectCopy(
      {
        sources: [{ kind: "path", tree: { kind: "layers", layers }, path: `/${source}` }],
        destination: "/",
        temporaryDirectory,
      },
      { makeIgnoreMatcher: () => assert.fail() },
    );
    rmSync(selectionPath);
    return contentDigest;
  } catch (error) {
    if (error instanceof BuildError) return error.message;
    throw error;
  }
}
