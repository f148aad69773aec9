import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, linkSync, lstatSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { makeLayer, makeTemporaryDirectory } from "../../test/make-layers.ts";
import type { RootfsPath } from "./entry.ts";
import { IndexReader } from "./index-reader.ts";
import { indexUpperDirectory } from "./index-upper-directory.ts";
import { loadLibc, S_IFBLK, S_IFCHR } from "./libc.ts";
import { openUnionTree } from "./union-tree.ts";

const skip = process.platform === "linux" && process.getuid?.() === 0 ? false : "needs root on Linux";

test("indexUpperDirectory() reads an upper directory", { skip }, async (t) => {
  const at = makeTemporaryDirectory(t);
  const directory = join(at, "upper");
  const upper = (name: string) => join(directory, name);
  const libc = loadLibc();
  mkdirSync(upper("d/e"), { recursive: true });
  mkdirSync(upper("opaque"), { mode: 0o700 });
  libc.lsetxattr(upper("opaque"), "trusted.overlay.opaque", Buffer.from("y"));
  writeFileSync(upper("d/f"), "hello");
  chmodSync(upper("d/f"), 0o4755);
  libc.lsetxattr(upper("d/f"), "user.keep", Buffer.from("1"));
  libc.lsetxattr(upper("d/f"), "trusted.overlay.origin", Buffer.from("2"));
  libc.lutimens(upper("d/f"), 1000, 5);
  linkSync(upper("d/f"), upper("a"));
  symlinkSync("d/f", upper("s"));
  libc.mknod(upper("gone"), S_IFCHR, { major: 0, minor: 0 });
  libc.mknod(upper("blk"), S_IFBLK | 0o600, { major: 259, minor: 70_000 });
  writeFileSync(Buffer.from(upper("n\xff"), "latin1"), "x");
  const server = createServer().listen(upper("socket"));
  await new Promise((resolve) => server.on("listening", resolve));

  // Marks that hide nothing: over a link, and of a path that only the overlay had.
  mkdirSync(upper("was-link"));
  libc.lsetxattr(upper("was-link"), "trusted.overlay.opaque", Buffer.from("y"));
  libc.mknod(upper("never"), S_IFCHR, { major: 0, minor: 0 });

  const base = [
    await makeLayer(join(at, "layers"), [
      { name: "gone" },
      { name: "opaque/" },
      { name: "was-link", type: "symlink", linkName: "d" },
    ]),
  ];
  const layer = indexUpperDirectory({ directory, indexPath: join(at, "index"), id: "r1", base });
  server.close();
  using index = new IndexReader(layer.indexPath);
  const entries = new Map([...index.scan("" as RootfsPath)].map((entry) => [entry.path as string, entry]));
  assert.deepEqual(
    [...entries.keys()],
    ["", "a", "blk", "d", "d/e", "d/f", "gone", "n\xff", "opaque", "s", "was-link"],
  );
  assert.equal(entries.get("was-link")!.opaque, undefined);
  const f = entries.get("d/f")!;
  assert.deepEqual([f.mode, f.size, f.mtime, f.mtimeNs, f.hardLinkOf], [0o4755, 5, 1000, 5, "a"]);
  assert.deepEqual(Object.keys(f.xattrs!), ["user.keep"]);
  assert.equal(entries.get("a")!.hardLinkOf, "a");
  assert.equal(entries.get("gone")!.type, "whiteout");
  assert.deepEqual([entries.get("opaque")!.opaque, entries.get("opaque")!.xattrs], [true, undefined]);
  assert.equal(entries.get("s")!.linkTarget, "d/f");
  const { deviceMajor, deviceMinor } = entries.get("blk")!;
  assert.deepEqual([deviceMajor, deviceMinor], [259, 70_000]);
  using tree = openUnionTree([layer]);
  assert.equal(tree.readWhole(tree.lookup("n\xff" as RootfsPath)!).toString(), "x");
});

test("indexUpperDirectory() lists the root only when it changed", { skip }, async (t) => {
  const at = makeTemporaryDirectory(t);
  const base = [await makeLayer(join(at, "layers"), [{ name: "./", mode: 0o711 }])];
  const directory = join(at, "upper");
  mkdirSync(directory);
  for (const [mode, isListed] of [
    [0o711, false],
    [0o700, true],
  ] as const) {
    chmodSync(directory, mode);
    const layer = indexUpperDirectory({ directory, indexPath: join(at, "index"), id: "r", base });
    using index = new IndexReader(layer.indexPath);
    assert.equal(index.lookup("" as RootfsPath)!.implicit !== true, isListed);
  }
});

test("indexUpperDirectory() refuses what an overlay with metacopy wrote", { skip }, (t) => {
  const at = makeTemporaryDirectory(t);
  mkdirSync(join(at, "upper"));
  writeFileSync(join(at, "upper/f"), "");
  loadLibc().lsetxattr(join(at, "upper/f"), "trusted.overlay.metacopy", Buffer.alloc(0));
  assert.throws(
    () =>
      indexUpperDirectory({ directory: join(at, "upper"), indexPath: join(at, "index"), id: "r", base: [] }),
    { code: "sandbox", message: /metacopy/ },
  );
});

test("indexUpperDirectory() reads what the kernel's overlay writes", { skip }, async (t) => {
  const at = makeTemporaryDirectory(t);
  for (const name of ["lower/keep", "lower/dir", "upper", "work", "merged"])
    mkdirSync(join(at, name), { recursive: true });
  writeFileSync(join(at, "lower/dir/f"), "1");
  writeFileSync(join(at, "lower/gone"), "2");
  const options = `lowerdir=${at}/lower,upperdir=${at}/upper,workdir=${at}/work,index=off,metacopy=off,redirect_dir=off`;
  const script = `mount -t overlay overlay -o ${options} ${at}/merged && cd ${at}/merged && rm gone && rm -r dir && mkdir dir && touch dir/new`;
  const run = () => execFileSync("unshare", ["--mount", "sh", "-c", script], { stdio: "pipe" });
  try {
    run();
  } catch (error) {
    t.skip(`needs an overlay mount: ${(error as Error).message.split("\n")[1]}`);
    return;
  }
  assert.ok(lstatSync(join(at, "upper/gone")).isCharacterDevice());
  const layer = indexUpperDirectory({
    directory: join(at, "upper"),
    indexPath: join(at, "index"),
    id: "r",
    base: [
      await makeLayer(join(at, "layers"), [
        { name: "keep/" },
        { name: "dir/" },
        { name: "dir/f" },
        { name: "gone" },
      ]),
    ],
  });
  using index = new IndexReader(layer.indexPath);
  assert.deepEqual(
    [...index.scan("" as RootfsPath)].map(({ path, type, opaque }) => [path, type, opaque ?? false]),
    [
      ["", "directory", false],
      ["dir", "directory", true],
      ["dir/new", "file", false],
      ["gone", "whiteout", false],
    ],
  );
});
