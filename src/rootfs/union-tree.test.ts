import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { type MemberLike, makeLayer, makeTemporaryDirectory } from "../../test/make-layers.ts";
import { isSelfContained } from "./is-self-contained.ts";
import { cleanPath, pathFromText } from "./rootfs-path.ts";
import { openUnionTree, type UnionTree } from "./union-tree.ts";

async function unionOf(t: TestContext, ...layers: readonly (readonly MemberLike[])[]): Promise<UnionTree> {
  const directory = makeTemporaryDirectory(t);
  const made = [];
  for (const members of layers) made.push(await makeLayer(directory, members));
  const tree = openUnionTree(made);
  t.after(() => tree[Symbol.dispose]());
  return tree;
}

const at = (tree: UnionTree, path: string) => tree.lookup(pathFromText(path));
const names = (tree: UnionTree) => [...tree.walk()].map(({ entry }) => entry.path as string);
const text = (tree: UnionTree, path: string) => tree.readWhole(at(tree, path)!).toString();
const link = (name: string, linkName: string): MemberLike => ({
  name,
  type: "symlink",
  linkName,
  mode: 0o777,
});

test("a union lets upper layers win and honours whiteouts and opaque directories", async (t) => {
  const tree = await unionOf(
    t,
    [
      { name: "a/" },
      { name: "a/1", content: "low" },
      { name: "a/2", content: "kept" },
      { name: "b/" },
      { name: "b/1" },
      { name: "c/" },
      { name: "c/1" },
      { name: "d" },
    ],
    [
      { name: "a/", mode: 0o700 },
      { name: "a/1", content: "high" },
      { name: "b/new" },
      { name: "b/.wh..wh..opq" },
      { name: ".wh.c" },
      { name: "d/" },
      { name: "d/sub" },
    ],
    [{ name: "a/.wh.2" }, { name: "c/" }, { name: "c/2" }],
  );
  assert.deepEqual(names(tree), ["", "a", "a/1", "b", "b/new", "c", "c/2", "d", "d/sub"]);
  assert.equal(text(tree, "/a/1"), "high");
  assert.equal(at(tree, "/a")!.entry.mode, 0o700, "the top layer lists only what is in it");
  assert.equal(at(tree, "/a/2"), undefined);
  assert.equal(at(tree, "/b/1"), undefined);
  assert.equal(at(tree, "/c/1"), undefined);
  assert.deepEqual(
    [...tree.list(pathFromText("/c"))].map(({ entry }) => entry.path),
    ["c/2"],
  );
  assert.deepEqual([...tree.list(pathFromText("/a/1"))], []);
});

test("trap: parents that a layer does not list keep the mode and owner that they have below", async (t) => {
  const tree = await unionOf(
    t,
    [
      { name: "./", mode: 0o711 },
      { name: "root/", mode: 0o700, uid: 5 },
      { name: "tmp/", mode: 0o1777 },
    ],
    [{ name: "root/.bashrc" }, { name: "tmp/x/y" }],
  );
  assert.deepEqual([at(tree, "/root")!.entry.mode, at(tree, "/root")!.entry.uid], [0o700, 5]);
  assert.equal(at(tree, "/tmp")!.entry.mode, 0o1777);
  assert.equal(at(tree, "/")!.entry.mode, 0o711);
  assert.equal(at(tree, "/tmp/x")!.entry.mode, 0o755);
  assert.ok([...tree.walk()].every(({ entry }) => !entry.implicit));
  assert.deepEqual(tree.layers.map(isSelfContained), [true, false]);
});

test("trap: a component that is a symlink below is followed, and does not hide what it leads to", async (t) => {
  const tree = await unionOf(
    t,
    [{ name: "usr/" }, { name: "usr/lib/", mode: 0o711 }, { name: "usr/lib/old" }, link("lib", "usr/lib")],
    [{ name: "lib/new", content: "n" }, { name: "lib/deep/er" }, { name: "lib/.wh.old" }],
  );
  assert.deepEqual(names(tree), [
    "",
    "lib",
    "usr",
    "usr/lib",
    "usr/lib/deep",
    "usr/lib/deep/er",
    "usr/lib/new",
  ]);
  assert.equal(at(tree, "/lib")!.entry.type, "symlink");
  assert.equal(at(tree, "/usr/lib")!.entry.mode, 0o711);
  assert.equal(text(tree, "/usr/lib/new"), "n");
  assert.equal(tree.resolve("/lib/new").path, "usr/lib/new");
  assert.deepEqual(
    [...tree.list(pathFromText("/usr/lib"))].map(({ entry }) => entry.path),
    ["usr/lib/deep", "usr/lib/new"],
  );
});

test("trap: a path that changes its type shows nothing of what it was", async (t) => {
  const tree = await unionOf(
    t,
    [
      { name: "to-file/" },
      { name: "to-file/low" },
      { name: "to-directory", content: "low" },
      link("link-to-file", "to-directory"),
      { name: "there-and-back/" },
      { name: "there-and-back/low" },
    ],
    [
      { name: "to-file", content: "top" },
      { name: "to-directory/" },
      { name: "to-directory/top", content: "t" },
      { name: "link-to-file", content: "own" },
      link("there-and-back", "to-file"),
    ],
    [{ name: "there-and-back/" }, { name: "there-and-back/top" }],
  );
  assert.deepEqual(names(tree).slice(1), [
    "link-to-file",
    "there-and-back",
    "there-and-back/top",
    "to-directory",
    "to-directory/top",
    "to-file",
  ]);
  assert.equal(text(tree, "/to-file"), "top");
  assert.equal(text(tree, "/link-to-file"), "own");
});

test("a directory that a layer lists replaces a symlink below", async (t) => {
  const tree = await unionOf(
    t,
    [{ name: "usr/lib/old" }, link("lib", "usr/lib")],
    [{ name: "lib/" }, { name: "lib/new" }],
  );
  assert.deepEqual(names(tree), ["", "lib", "lib/new", "usr", "usr/lib", "usr/lib/old"]);
});

test("a symlink and entries under it in one layer: the entries lie where it leads", async (t) => {
  const tree = await unionOf(t, [{ name: "real/" }, link("link", "/real"), { name: "link/f", content: "x" }]);
  assert.deepEqual(names(tree), ["", "link", "real", "real/f"]);
  assert.equal(text(tree, "/real/f"), "x");
});

test("redirects nest, and a link that leads nowhere makes the directory it names", async (t) => {
  const tree = await unionOf(
    t,
    [link("a", "b"), { name: "b/" }, link("b/c", "../d"), { name: "d/" }, link("e", "gone/far")],
    [{ name: "a/c/f" }, { name: "a/g" }, { name: "e/h" }],
  );
  assert.deepEqual(names(tree), [
    "",
    "a",
    "b",
    "b/c",
    "b/g",
    "d",
    "d/f",
    "e",
    "gone",
    "gone/far",
    "gone/far/h",
  ]);
});

test("trap: a hard link into a lower layer is that file's bytes", async (t) => {
  const tree = await unionOf(
    t,
    [{ name: "d/f", content: "below", mode: 0o4711, uid: 9 }],
    [{ name: "d/f2", type: "hardlink", linkName: "d/f" }],
  );
  const linked = at(tree, "/d/f2")!;
  assert.deepEqual([linked.entry.mode, linked.entry.uid, linked.entry.size], [0o4711, 9, 5]);
  assert.equal(text(tree, "/d/f2"), "below");
  assert.deepEqual(tree.layers.map(isSelfContained), [false, false]);
});

test("resolve() follows links inside the root only", async (t) => {
  const tree = await unionOf(t, [
    { name: "etc/passwd", content: "root" },
    { name: "a/b/" },
    link("a/b/up", "../../../../etc/passwd"),
    link("a/abs", "/etc"),
    link("a/rel", "./b/.."),
    link("dangling", "no/where"),
    link("loop", "loop2"),
    link("loop2", "/loop"),
  ]);
  const resolve = (path: string, followLast = true) => tree.resolve(path, { followLast }).path as string;
  assert.equal(resolve("/a/b/up"), "etc/passwd");
  assert.equal(resolve("/a/abs/passwd"), "etc/passwd");
  assert.equal(resolve("/a/abs", false), "a/abs");
  assert.equal(resolve("a/rel/rel/rel/abs/../etc/."), "etc");
  assert.equal(resolve("/dangling/x"), "no/where/x");
  assert.equal(tree.resolve("/dangling").entry, undefined);
  assert.equal(resolve("/../../etc"), "etc");
  assert.throws(() => resolve("/loop/x"), { code: "copy-failed", message: /circle/ });
  assert.throws(() => resolve("/etc/passwd/x"), {
    code: "copy-failed",
    message: /"\/etc\/passwd" is no directory/,
  });
  assert.equal(resolve("/loop", false), "loop");
});

test("a union of no layers is an empty root", async (t) => {
  const tree = await unionOf(t);
  assert.deepEqual(names(tree), [""]);
  assert.equal(at(tree, "/x"), undefined);
});

/**
 * Layers as plain maps, applied one after the other as containerd does it (it makes parents for whiteouts too): the model
 * that the union must agree with.
 */
type Change = { readonly path: string; readonly kind: "file" | "dir" | "whiteout" | "opaque" };
const anyChange: fc.Arbitrary<Change> = fc.record({
  path: fc
    .array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 3 })
    .map((parts) => parts.join("/")),
  kind: fc.constantFrom("file", "file", "dir", "whiteout", "opaque"),
});

function applyModel(model: Map<string, string>, changes: readonly Change[], tag: string): void {
  const removeBelow = (path: string) => {
    for (const key of model.keys()) if (key.startsWith(`${path}/`)) model.delete(key);
  };
  const below = changes.filter(({ kind }) => kind === "whiteout" || kind === "opaque");
  for (const { path, kind } of below) {
    removeBelow(path);
    if (kind === "whiteout") model.delete(path);
  }
  for (const { path, kind } of changes) {
    const parts = path.split("/");
    for (let depth = 1; depth < parts.length; depth++) {
      const parent = parts.slice(0, depth).join("/");
      if (!model.get(parent)?.startsWith("dir")) model.set(parent, "dir");
    }
    if (kind === "whiteout") continue;
    if (kind === "opaque") {
      if (!model.get(path)?.startsWith("dir")) model.set(path, "dir");
    } else if (kind === "file") {
      removeBelow(path);
      model.set(path, `file ${tag}`);
    } else {
      model.set(path, `dir ${tag}`);
    }
  }
}

/** No layer whose tar could not be applied in any order: a file is no directory's parent, a path is said once. */
function isConsistent(changes: readonly Change[]): boolean {
  const files = changes.filter(({ kind }) => kind === "file" || kind === "whiteout").map(({ path }) => path);
  const paths = changes.map(({ path }) => path);
  return (
    new Set(paths).size === paths.length &&
    !files.some((file) => paths.some((path) => path.startsWith(`${file}/`)))
  );
}

test("a union agrees with layers applied one after the other", async (t) => {
  const directory = makeTemporaryDirectory(t);
  mkdirSync(join(directory, "layers"));
  const anyLayer = fc.array(anyChange, { maxLength: 6 }).filter(isConsistent);
  await fc.assert(
    fc.asyncProperty(fc.array(anyLayer, { minLength: 1, maxLength: 4 }), async (layers) => {
      const model = new Map<string, string>();
      const made = [];
      for (const [number, changes] of layers.entries()) {
        applyModel(model, changes, String(number));
        const members = changes.map(({ path, kind }): MemberLike => {
          const parent = path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : "";
          const name = path.slice(parent.length);
          if (kind === "whiteout") return { name: `${parent}.wh.${name}` };
          if (kind === "opaque") return { name: `${path}/.wh..wh..opq` };
          return kind === "file"
            ? { name: path, content: String(number) }
            : { name: `${path}/`, uid: number + 1 };
        });
        made.push(await makeLayer(join(directory, "layers"), members));
      }
      using tree = openUnionTree(made);
      const seen = [...tree.walk()].slice(1).map((entry) => {
        const { path, type, uid } = entry.entry;
        assert.deepEqual(tree.lookup(path), entry, "walk and lookup agree");
        if (type === "file") return [path, `file ${tree.readWhole(entry)}`];
        return [path, uid === 0 ? "dir" : `dir ${uid - 1}`];
      });
      const expected = [...model].sort(([a], [b]) => (a.split("/") < b.split("/") ? -1 : 1));
      assert.deepEqual(Object.fromEntries(seen), Object.fromEntries(expected));
    }),
    { numRuns: 120 },
  );
});

test("cleanPath() never leads above the root", () => {
  assert.equal(cleanPath("/../a/./b//../c/"), "a/c");
});
