import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { type MemberLike, makeLayer, makeTar, makeTemporaryDirectory } from "../../test/make-layers.ts";
import { indexUpperDirectory } from "./index-upper-directory.ts";
import { loadLibc } from "./libc.ts";
import { materialiseLayer } from "./materialise-layer.ts";
import { packLayer } from "./pack-layer.ts";

const skip = process.platform === "linux" && process.getuid?.() === 0 ? false : "needs root on Linux";

/** `security.capability` of cap_net_raw+ep, version 2. */
const CAPABILITY = Buffer.from("0100000200200000000000000000000000000000", "hex");
const link = (name: string, linkName: string): MemberLike => ({
  name,
  type: "symlink",
  linkName,
  mode: 0o777,
});

test("materialiseLayer() writes everything that a layer says, in an order that loses nothing", {
  skip,
}, async (t) => {
  const at = makeTemporaryDirectory(t);
  const owned = { mode: 0o6755, uid: 7, gid: 8, xattrs: { "security.capability": CAPABILITY } };
  const layer = await makeLayer(join(at, "layers"), [
    { name: "./", mode: 0o751, uid: 1 },
    { name: "d/", mode: 0o2500, uid: 5, gid: 6, mtime: 77 },
    { name: "d/suid", content: "s", ...owned },
    { name: "d/hard", type: "hardlink", linkName: "d/suid" },
    { name: "a-first", type: "hardlink", linkName: "d/suid" },
    { ...link("d/s", "/etc/passwd"), uid: 9, mtime: 88 },
    { name: "d/p", type: "fifo", mode: 0o622 },
    { name: "d/null", type: "char", deviceMajor: 1, deviceMinor: 3, mode: 0o666 },
    { name: "d/blk", type: "block", deviceMajor: 259, deviceMinor: 70_000 },
    { name: "d/zero", type: "char" },
    { name: "d/.wh.gone" },
    { name: "o/" },
    { name: "o/.wh..wh..opq" },
    { name: "n\xff", content: "x".repeat(300_000), mode: 0o666 },
  ]);
  const directory = join(at, "out");
  const before = process.umask(0o077);
  const told: number[] = [];
  try {
    materialiseLayer({ layer, below: [], directory }, { onProgress: (doneBytes) => told.push(doneBytes) });
  } finally {
    process.umask(before);
  }
  // Bytes of an inode count once.
  assert.equal(told.at(-1), 300_001);
  const stat = (name: string) => lstatSync(Buffer.from(join(directory, name), "latin1"));
  const libc = loadLibc();
  assert.deepEqual([stat("").mode & 0o7777, stat("").uid], [0o751, 1]);
  assert.deepEqual(
    [stat("d").mode & 0o7777, stat("d").uid, stat("d").gid, stat("d").mtimeMs],
    [0o2500, 5, 6, 77_000],
  );
  const suid = stat("d/suid");
  assert.deepEqual(
    [suid.mode & 0o7777, suid.uid, suid.gid, suid.nlink, suid.mtimeMs],
    [0o6755, 7, 8, 3, 1_000_000],
  );
  assert.deepEqual(libc.lgetxattr(join(directory, "d/suid"), "security.capability"), CAPABILITY);
  assert.equal(stat("a-first").ino, suid.ino);
  assert.equal(readlinkSync(join(directory, "d/s")), "/etc/passwd");
  assert.deepEqual([stat("d/s").uid, stat("d/s").mtimeMs], [9, 88_000]);
  assert.ok(stat("d/p").isFIFO());
  assert.deepEqual([stat("d/null").rdev, stat("d/null").mode & 0o7777], [0x103, 0o666]);
  assert.ok(stat("d/blk").isBlockDevice());
  assert.ok(!existsSync(join(directory, "d/zero")), "a device 0:0 in an archive must not become a whiteout");
  assert.ok(stat("d/gone").isCharacterDevice());
  assert.equal(stat("d/gone").rdev, 0);
  assert.equal(libc.lgetxattr(join(directory, "o"), "trusted.overlay.opaque")?.toString(), "y");
  assert.equal(stat("n\xff").size, 300_000);
  assert.equal(stat("n\xff").mode & 0o777, 0o666);
  assert.deepEqual(readdirSync(at).sort(), ["layers", "out"]);
});

test("trap: /root stays 0700 and /tmp 1777 when a layer does not list them", { skip }, async (t) => {
  const at = makeTemporaryDirectory(t);
  const layers = join(at, "layers");
  const xattrs = { "user.kept": Buffer.from("1") };
  const below = [
    await makeLayer(layers, [
      { name: "./", mode: 0o711 },
      { name: "root/", mode: 0o700, uid: 3, mtime: 44, xattrs },
      { name: "tmp/", mode: 0o1777 },
    ]),
  ];
  const layer = await makeLayer(layers, [
    { name: "root/x" },
    { name: "tmp/a/b" },
    { name: "tmp/.wh..wh..opq" },
  ]);
  materialiseLayer({ layer, below, directory: join(at, "out") });
  const root = lstatSync(join(at, "out/root"));
  assert.deepEqual([root.mode & 0o7777, root.uid, root.mtimeMs], [0o700, 3, 44_000]);
  assert.equal(loadLibc().lgetxattr(join(at, "out/root"), "user.kept")?.toString(), "1");
  assert.equal(lstatSync(join(at, "out/tmp")).mode & 0o7777, 0o1777);
  assert.equal(loadLibc().lgetxattr(join(at, "out/tmp"), "trusted.overlay.opaque")?.toString(), "y");
  assert.equal(lstatSync(join(at, "out/tmp/a")).mode & 0o7777, 0o755);
  assert.equal(lstatSync(join(at, "out")).mode & 0o7777, 0o711);
});

test("trap: what lies under a lower layer's symlink is written where it leads", { skip }, async (t) => {
  const at = makeTemporaryDirectory(t);
  const layers = join(at, "layers");
  const below = [
    await makeLayer(layers, [{ name: "usr/" }, { name: "usr/lib/", mode: 0o711 }, link("lib", "usr/lib")]),
  ];
  const layer = await makeLayer(layers, [{ name: "lib/x", content: "x" }]);
  materialiseLayer({ layer, below, directory: join(at, "out") });
  assert.deepEqual(readdirSync(join(at, "out")), ["usr"]);
  assert.equal(readFileSync(join(at, "out/usr/lib/x"), "utf8"), "x");
  assert.equal(lstatSync(join(at, "out/usr/lib")).mode & 0o7777, 0o711);
});

test("trap: a hard link into a lower layer becomes a copy of the file there", { skip }, async (t) => {
  const at = makeTemporaryDirectory(t);
  const layers = join(at, "layers");
  const below = [await makeLayer(layers, [{ name: "f", content: "low", mode: 0o4711, uid: 4 }])];
  const layer = await makeLayer(layers, [
    { name: "g", type: "hardlink", linkName: "f" },
    { name: "h", type: "hardlink", linkName: "f" },
  ]);
  materialiseLayer({ layer, below, directory: join(at, "out") });
  const g = lstatSync(join(at, "out/g"));
  assert.deepEqual([g.mode & 0o7777, g.uid, g.nlink], [0o4711, 4, 2]);
  assert.equal(readFileSync(join(at, "out/h"), "utf8"), "low");
  const lost = await makeLayer(layers, [{ name: "g", type: "hardlink", linkName: "nowhere" }]);
  assert.throws(() => materialiseLayer({ layer: lost, below, directory: join(at, "lost") }), {
    code: "image-invalid",
  });
  assert.ok(!existsSync(join(at, "lost")));
});

test("trap: setuid bits and capabilities of somebody's file outlive the change of its owner", {
  skip,
}, async (t) => {
  const at = makeTemporaryDirectory(t);
  const layer = await makeLayer(join(at, "layers"), [
    {
      name: "f",
      content: "f",
      mode: 0o6755,
      uid: 1000,
      gid: 1000,
      xattrs: { "security.capability": CAPABILITY },
    },
    { name: "d/", mode: 0o2770, uid: 1000, gid: 1000 },
  ]);
  materialiseLayer({ layer, below: [], directory: join(at, "out") });
  const [file, directory] = [lstatSync(join(at, "out/f")), lstatSync(join(at, "out/d"))];
  assert.deepEqual([file.mode & 0o7777, file.uid, file.gid], [0o6755, 1000, 1000]);
  assert.deepEqual([directory.mode & 0o7777, directory.uid, directory.gid], [0o2770, 1000, 1000]);
  assert.deepEqual(loadLibc().lgetxattr(join(at, "out/f"), "security.capability"), CAPABILITY);
  assert.equal(file.mtimeMs, 1_000_000);
});

test("materialiseLayer() never writes through a symlink", { skip }, async (t) => {
  const at = makeTemporaryDirectory(t);
  const layers = join(at, "layers");
  mkdirSync(join(at, "outside"));
  const outside = join(at, "outside");
  const below = [await makeLayer(layers, [{ name: "usr/lib/" }, link("lib", "usr/lib")])];
  for (const [number, members] of [
    // A link and then a file under it, a directory swapped for a link, and a link where a lower one leads.
    [link("l", outside), { name: "l/f", content: "x" }],
    [{ name: "d/" }, { name: "d/f" }, link("d", outside), { name: "d/g" }],
    [{ name: "lib/f" }, link("usr", outside)],
    [link("a", "../../../../outside"), { name: "a/f" }, link("a/b", "/"), { name: "a/b/c" }],
  ].entries()) {
    const layer = await makeLayer(layers, members);
    materialiseLayer({ layer, below, directory: join(at, `out${number}`) });
    assert.deepEqual(readdirSync(outside), [], `case ${number}`);
  }
});

const anyMembers = fc
  .uniqueArray(
    fc.record({
      name: fc.constantFrom("a", "b/", "b/c", "b/d/", "b/d/e", "f\xfe", "g", "h/", "h/i"),
      mode: fc.nat(0o7777),
      uid: fc.nat(3),
      gid: fc.constantFrom(0, 3_000_000),
      mtime: fc.integer({ min: -100, max: 2 ** 31 }),
      content: fc.constantFrom("", "x", "y".repeat(5000)),
      kind: fc.constantFrom("file", "file", "symlink", "fifo", "whiteout"),
      xattr: fc.boolean(),
    }),
    { selector: ({ name }) => name },
  )
  .map((all) => all.sort((a, b) => (a.name < b.name ? -1 : 1)));

test("unpacking, indexing and packing a layer again gives the same diff ID", { skip }, async (t) => {
  const at = makeTemporaryDirectory(t);
  // A mark counts only where it hides something.
  const names = ["a", "b/", "b/c", "b/d/", "b/d/e", "f\xfe", "g", "h/", "h/i"];
  const base = [
    await makeLayer(
      join(at, "layers"),
      names.map((name) => ({ name })),
    ),
  ];
  let run = 0;
  await fc.assert(
    fc.asyncProperty(anyMembers, async (members) => {
      const present = new Set<string>(members.map(({ name }) => name));
      const complete = members
        .filter(({ name }) => {
          const parts = name.split("/").slice(0, name.endsWith("/") ? -2 : -1);
          return parts.every((_, depth) => present.has(`${parts.slice(0, depth + 1).join("/")}/`));
        })
        .flatMap(({ kind, xattr, ...rest }): MemberLike[] => {
          const xattrs = xattr ? { "user.a": Buffer.from("1"), "trusted.b": Buffer.from("") } : undefined;
          if (rest.name.endsWith("/")) return [{ ...rest, content: "", ...(xattrs && { xattrs }) }];
          if (kind === "whiteout") {
            const slash = rest.name.lastIndexOf("/") + 1;
            const name = `${rest.name.slice(0, slash)}.wh.${rest.name.slice(slash)}`;
            return [{ name, mode: 0, mtime: 0 }];
          }
          if (kind === "symlink")
            return [{ ...rest, content: "", type: "symlink", linkName: "t", mode: 0o777 }];
          if (kind === "fifo") return [{ ...rest, content: "", type: "fifo" }];
          return [{ ...rest, ...(xattrs && { xattrs }) }];
        });
      const layer = await makeLayer(join(at, "layers"), complete);
      const directory = join(at, `out${run++}`);
      materialiseLayer({ layer, below: [], directory });
      const again = indexUpperDirectory({ directory, indexPath: join(at, "index"), id: "r", base });
      const packed = await packLayer({
        layer: again,
        compression: "uncompressed",
        blobPath: join(at, "blob"),
      });
      assert.deepEqual(readFileSync(join(at, "blob")), makeTar(complete));
      assert.equal(packed.diffId, layer.diffId);
    }),
    { numRuns: 40 },
  );
});

test("an overlay of materialised layers looks like the union says", { skip }, async (t) => {
  const at = makeTemporaryDirectory(t);
  const layers = join(at, "layers");
  const made = [
    await makeLayer(layers, [
      { name: "a/" },
      { name: "a/1", content: "1" },
      { name: "b/" },
      { name: "b/1" },
      { name: "c" },
    ]),
    await makeLayer(layers, [
      { name: "b/2" },
      { name: "b/.wh..wh..opq" },
      { name: ".wh.c" },
      { name: "a/.wh.1" },
    ]),
  ];
  for (const [number, layer] of made.entries()) {
    materialiseLayer({ layer, below: made.slice(0, number), directory: join(at, String(number)) });
  }
  for (const name of ["merged", "upper", "work"]) mkdirSync(join(at, name));
  writeFileSync(
    join(at, "script"),
    `mount -t overlay overlay -o lowerdir=${at}/1:${at}/0 ${at}/merged && cd ${at}/merged && find . | sort`,
  );
  let found: string;
  try {
    found = execFileSync("unshare", ["--mount", "sh", join(at, "script")], { stdio: "pipe" }).toString();
  } catch (error) {
    t.skip(`needs an overlay mount: ${(error as Error).message.split("\n")[1]}`);
    return;
  }
  assert.deepEqual(found.trim().split("\n"), [".", "./a", "./b", "./b/2"]);
});
