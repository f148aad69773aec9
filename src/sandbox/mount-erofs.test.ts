import assert from "node:assert/strict";
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { type MemberLike, makeLayer, makeTemporaryDirectory } from "../../test/make-layers.ts";
import type { Layer } from "../rootfs/layer.ts";
import { loadLibc } from "../rootfs/libc.ts";
import { materialiseLayer } from "../rootfs/materialise-layer.ts";
import { writeLayerErofs } from "../rootfs/write-layer-erofs.ts";
import { probeErofs } from "./lower-mounts.ts";
import { mountErofs, unmount } from "./mount.ts";

const skip = await whatIsMissing();

async function whatIsMissing(): Promise<string | false> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "needs root on Linux";
  const scratch = mkdtempSync("/var/tmp/slipway-erofs-");
  try {
    const { works, whenGone } = probeErofs(join(scratch, "probe"));
    await whenGone;
    assert.deepEqual(readdirSync(scratch), []);
    return !works && "needs Linux 6.12 with EROFS";
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Everything that a process sees of a tree, by path. */
function describeTree(root: string): Record<string, unknown> {
  const libc = loadLibc();
  const found: Record<string, unknown> = {};
  const inodes = new Map<number, string>();
  const visit = (path: Buffer, name: string): void => {
    const stats = lstatSync(path);
    const isFile = stats.isFile();
    const xattrs = libc.llistxattr(path).sort();
    found[name] = {
      mode: stats.mode,
      owner: `${stats.uid}:${stats.gid}`,
      // A whiteout's own time is seen by nobody.
      ...(!(stats.isCharacterDevice() && stats.rdev === 0) && { mtime: Math.floor(stats.mtimeMs / 1000) }),
      rdev: stats.rdev,
      ...(isFile && { size: stats.size, links: stats.nlink, content: readFileSync(path).toString("latin1") }),
      ...(isFile && stats.nlink > 1 && { sameAs: inodes.get(stats.ino) ?? name }),
      ...(stats.isSymbolicLink() && { target: readlinkSync(path, "latin1") }),
      xattrs: xattrs.map((key) => [key, libc.lgetxattr(path, key)!.toString("hex")]),
    };
    if (!inodes.has(stats.ino)) inodes.set(stats.ino, name);
    if (!stats.isDirectory()) return;
    for (const child of readdirSync(path, { encoding: "buffer" }).sort(Buffer.compare))
      visit(Buffer.concat([path, Buffer.from("/"), child]), `${name}/${child.toString("latin1")}`);
  };
  visit(Buffer.from(root), "");
  return found;
}

/** The layer unpacked, and the layer mounted. */
function bothForms(t: TestContext, layer: Layer, below: readonly Layer[] = []) {
  const at = makeTemporaryDirectory(t);
  const directory = join(at, "unpacked");
  materialiseLayer({ layer, below, directory });
  const [path, target] = [join(at, "metadata"), join(at, "mounted")];
  mkdirSync(target);
  assert.equal(writeLayerErofs({ layer, below, path }), true);
  assert.equal(layer.content.kind, "tar");
  mountErofs({ metadataPath: path, dataPath: (layer.content as { tarPath: string }).tarPath }, target);
  try {
    return { unpacked: describeTree(directory), mounted: describeTree(target) };
  } finally {
    unmount(target);
  }
}

test("a mounted layer is the same as an unpacked one, whatever it holds", { skip }, async (t) => {
  const at = makeTemporaryDirectory(t);
  const members: MemberLike[] = [
    { name: "./", mode: 0o751, uid: 1 },
    { name: "d/", mode: 0o2500, uid: 5, gid: 70_000, mtime: 77 },
    {
      name: "d/suid",
      mode: 0o6755,
      uid: 7,
      gid: 8,
      content: "s",
      xattrs: { "user.a": Buffer.from("1"), "user.empty": Buffer.alloc(0) },
    },
    { name: "d/hard", type: "hardlink", linkName: "d/suid" },
    { name: "d/s", type: "symlink", linkName: "/etc/passwd", mode: 0o777, uid: 9, mtime: 88 },
    { name: "d/long", type: "symlink", linkName: "x/".repeat(1500), mode: 0o777 },
    { name: "d/p", type: "fifo", mode: 0o622 },
    { name: "d/null", type: "char", deviceMajor: 1, deviceMinor: 3, mode: 0o666 },
    { name: "d/blk", type: "block", deviceMajor: 259, deviceMinor: 70_000 },
    { name: "d/zero", type: "char" },
    { name: "d/.wh.gone" },
    { name: "o/" },
    { name: "o/.wh..wh..opq" },
    { name: "empty" },
    { name: "old", mtime: -5 },
    { name: "n\xff", content: "x".repeat(300_001), mode: 0o666 },
    { name: "-before-dot", content: "1" },
    {
      name: "acl",
      xattrs: {
        "security.capability": Buffer.from("0100000200200000000000000000000000000000", "hex"),
        "trusted.x": Buffer.alloc(900, 7),
      },
    },
  ];
  for (let n = 0; n < 400; n++)
    members.push({ name: `d/${"long-name".repeat(n % 28)}${n}`, content: String(n) });
  const { unpacked, mounted } = bothForms(t, await makeLayer(join(at, "layers"), members));
  assert.equal(Object.keys(mounted).length, 416);
  assert.deepEqual(mounted, unpacked);
});

test("a mounted layer is the same as an unpacked one, for any tree", { skip }, async (t) => {
  const at = makeTemporaryDirectory(t);
  const name = fc.stringMatching(/^[ -.0-\x7e]{1,200}$/).filter((text) => !/^\.{1,2}$|^\.wh\./.test(text));
  const tree = fc.uniqueArray(fc.tuple(name, fc.nat(3), fc.nat(2000)), {
    maxLength: 60,
    selector: ([text]) => text,
  });
  let count = 0;
  await fc.assert(
    fc.asyncProperty(tree, async (items) => {
      const members: MemberLike[] = [];
      let parent = "";
      for (const [text, kind, size] of items) {
        if (kind === 0) members.push({ name: `${parent}${text}/`, mode: 0o700 + (size % 64) });
        else if (kind === 1)
          members.push({ name: parent + text, type: "symlink", linkName: text, mode: 0o777 });
        else members.push({ name: parent + text, content: text.repeat(20).slice(0, size), mtime: size });
        if (kind === 0 && parent.length < 200) parent = `${parent}${text}/`;
      }
      const layer = await makeLayer(join(at, `layers-${count++}`), members);
      const { unpacked, mounted } = bothForms(t, layer);
      assert.deepEqual(mounted, unpacked);
    }),
    { numRuns: 25 },
  );
});

test("directories that a layer does not list are those below, and links are followed as in the unpacked form", {
  skip,
}, async (t) => {
  const layers = join(makeTemporaryDirectory(t), "layers");
  const base = await makeLayer(layers, [
    { name: "usr/", mode: 0o711, uid: 3 },
    { name: "usr/lib/", mode: 0o700, gid: 4 },
    { name: "lib", type: "symlink", linkName: "usr/lib", mode: 0o777 },
  ]);
  const layer = await makeLayer(layers, [{ name: "lib/x", content: "x" }]);
  const { unpacked, mounted } = bothForms(t, layer, [base]);
  assert.ok("/usr/lib/x" in mounted);
  assert.deepEqual(mounted, unpacked);
});

test("a layer that links into one below it is left to be unpacked", { skip }, async (t) => {
  const at = makeTemporaryDirectory(t);
  const base = await makeLayer(join(at, "layers"), [{ name: "a", content: "a" }]);
  const layer = await makeLayer(join(at, "layers"), [{ name: "b", type: "hardlink", linkName: "a" }]);
  assert.equal(writeLayerErofs({ layer, below: [base], path: join(at, "metadata") }), false);
  assert.deepEqual(readdirSync(at), ["layers"]);
});
