import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import type { Entry, RootfsPath } from "./entry.ts";
import { IndexReader } from "./index-reader.ts";
import { writeIndex } from "./index-writer.ts";
import { implicitDirectory, writeLayerIndex } from "./layer-entries.ts";
import { RecordSorter } from "./record-sorter.ts";
import { comparePaths, isWithin, parentPath } from "./rootfs-path.ts";

function temporary(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "index-"));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

const path = (text: string) => text as RootfsPath;
function file(name: string, part: Partial<Entry> = {}): Entry {
  const times = { size: 3, mtime: 7, mtimeNs: 0, dataOffset: 512 };
  return { path: path(name), type: "file", mode: 0o644, uid: 1, gid: 2, ...times, ...part };
}
function directory(name: string, part: Partial<Entry> = {}): Entry {
  const { implicit: _, ...entry } = implicitDirectory(path(name));
  return { ...entry, mtime: 9, ...part };
}
const whiteout = (name: string): Entry => ({
  ...implicitDirectory(path(name)),
  implicit: undefined,
  type: "whiteout",
});
const opaque = (name: string): Entry => ({ ...implicitDirectory(path(name)), opaque: true });
function link(name: string, target: string): Entry {
  return { ...file(name), dataOffset: undefined, size: 0, hardLinkOf: path(target) };
}

function indexOf(t: TestContext, members: readonly Entry[]): Map<string, Entry> {
  const at = temporary(t);
  using sorter = new RecordSorter(join(at, "sort"));
  for (const member of members) sorter.add(member);
  writeLayerIndex(join(at, "index"), sorter);
  using index = new IndexReader(join(at, "index"));
  return new Map([...index.scan(path(""))].map((entry) => [entry.path, entry]));
}

const anyPath = fc
  .array(fc.constantFrom("a", "b", "a.b", "a-", "\xff", "long".repeat(20)), { maxLength: 5 })
  .map((parts) => path(parts.join("/")));

const anyEntry: fc.Arbitrary<Entry> = fc.record(
  {
    path: anyPath,
    type: fc.constantFrom("file", "directory", "symlink", "fifo", "char", "block", "whiteout"),
    mode: fc.nat(0o7777),
    uid: fc.integer({ min: 0, max: 0xffff_ffff }),
    gid: fc.nat(70000),
    size: fc.nat(2 ** 53 - 1),
    mtime: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
    mtimeNs: fc.nat(999_999_999),
    linkTarget: fc.string({ maxLength: 9 }).map((text) => Buffer.from(text).toString("latin1")),
    hardLinkOf: anyPath,
    foreignLink: fc.constant(true),
    xattrs: fc.dictionary(
      fc.constantFrom("user.b", "user.a"),
      fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    ),
    dataOffset: fc.nat(2 ** 53 - 1),
    contentHash: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
    opaque: fc.constant(true),
    implicit: fc.constant(true),
  },
  { requiredKeys: ["path", "type", "mode", "uid", "gid", "size", "mtime", "mtimeNs"] },
);

const plain = (entry: Entry) => ({ ...entry, ...(entry.xattrs ? { xattrs: { ...entry.xattrs } } : {}) });

test("comparePaths() keeps a directory's subtree together", () => {
  const sorted = ["a", "a/b", "a/b/c", "a/c", "a-", "a.b", "a.b/x", "b", "\xff"];
  assert.deepEqual([...sorted].reverse().sort(comparePaths), sorted);
});

test("an index gives back every field, and finds, lists and scans as a sorted array does", (t) => {
  const at = temporary(t);
  let run = 0;
  fc.assert(
    fc.property(
      fc.array(anyEntry, { maxLength: 60 }),
      fc.array(anyPath, { maxLength: 9 }),
      (some, probes) => {
        const byPath = new Map<string, Entry>([["", directory("")]]);
        for (const entry of some) {
          byPath.set(entry.path, entry);
          for (let up = parentPath(entry.path); !byPath.has(up); up = parentPath(up))
            byPath.set(up, directory(up));
        }
        const entries = [...byPath.values()].sort((a, b) => comparePaths(a.path, b.path));
        const indexPath = join(at, `index${run++}`);
        writeIndex(indexPath, entries);
        using index = new IndexReader(indexPath);
        assert.equal(index.count, entries.length);
        for (const probe of [...probes, ...entries.map((entry) => entry.path)]) {
          const expected = entries.find((entry) => entry.path === probe);
          const found = index.lookup(probe);
          assert.deepEqual(found && plain(found), expected && plain(expected));
          const below = entries.filter((entry) => isWithin(entry.path, probe));
          assert.deepEqual([...index.scan(probe)].map(plain), below.map(plain));
          const children = below.filter((entry) => entry.path !== probe && parentPath(entry.path) === probe);
          assert.deepEqual([...index.list(probe)].map(plain), children.map(plain));
        }
      },
    ),
    { numRuns: 40 },
  );
});

test("a large index is read block by block, and subtrees are skipped", (t) => {
  const indexPath = join(temporary(t), "index");
  function* entries() {
    yield directory("");
    for (const top of ["a", "b", "c"]) {
      yield directory(top);
      for (let number = 10_000; number < 30_000; number++) yield file(`${top}/${number}`);
    }
    yield file("d");
  }
  writeIndex(indexPath, entries());
  using index = new IndexReader(indexPath);
  assert.equal(index.count, 60_005);
  assert.deepEqual(
    [...index.list(path(""))].map((entry) => entry.path),
    ["a", "b", "c", "d"],
  );
  assert.equal(index.lookup(path("b/29999"))?.path, "b/29999");
  assert.equal(index.lookup(path("b/30000")), undefined);
  assert.equal([...index.scan(path("c"))].length, 20_001);
  assert.equal([...index.list(path("b"))].length, 20_000);
  assert.equal([...index.list(path("d"))].length, 0);
});

test("RecordSorter sorts by path and arrival, in memory and through runs on disk", (t) => {
  const at = temporary(t);
  let run = 0;
  fc.assert(
    fc.property(fc.array(anyPath, { maxLength: 300 }), fc.constantFrom(100, 2000, 1 << 20), (paths, size) => {
      using sorter = new RecordSorter(join(at, `s${run++}`), size);
      for (const [number, name] of paths.entries()) sorter.add(file(name, { mtime: number }));
      const expected = paths
        .map((name, number) => ({ name, number }))
        .sort((a, b) => comparePaths(a.name, b.name) || a.number - b.number);
      const sorted = [...sorter.sorted()];
      assert.deepEqual(
        sorted.map(({ entry, sequence }) => ({ name: entry.path, number: sequence })),
        expected,
      );
      assert.ok(sorted.every(({ entry, sequence }) => entry.mtime === sequence));
    }),
    { numRuns: 40 },
  );
  assert.deepEqual(readdirSync(at), [], "the file of runs is removed");
});

test("writeLayerIndex() marks parents that are not listed as implicit", (t) => {
  const index = indexOf(t, [file("a/b/c"), directory("a", { mode: 0o700 })]);
  assert.deepEqual([...index.keys()], ["", "a", "a/b", "a/b/c"]);
  assert.deepEqual(
    [...index.values()].map((entry) => entry.implicit ?? false),
    [true, false, true, false],
  );
  assert.equal(index.get("a")!.mode, 0o700);
});

test("writeLayerIndex() lets the last member of a path win and keeps what a directory held", (t) => {
  const index = indexOf(t, [
    ...[directory("d", { mode: 0o700 }), file("d/f", { mode: 1 }), directory("d", { mode: 0o711 })],
    ...[file("d/f", { mode: 2 }), directory("e"), file("e/gone"), file("e"), directory("e"), file("e/kept")],
  ]);
  assert.equal(index.get("d")!.mode, 0o711);
  assert.equal(index.get("d/f")!.mode, 2);
  assert.deepEqual([...index.keys()], ["", "d", "d/f", "e", "e/kept"]);
});

test("trap: whiteouts and opaque markers stand anywhere in the tar", (t) => {
  for (const members of [
    [
      directory("d"),
      opaque("d"),
      file("d/f"),
      whiteout("w"),
      file("x"),
      whiteout("x"),
      directory("y"),
      whiteout("y"),
    ],
    [
      whiteout("y"),
      directory("y"),
      whiteout("x"),
      file("x"),
      whiteout("w"),
      file("d/f"),
      opaque("d"),
      directory("d"),
    ],
  ]) {
    const index = indexOf(t, members);
    assert.deepEqual(
      [...index.values()].map((entry) => [entry.path, entry.type, entry.opaque ?? false]),
      [
        ["", "directory", false],
        ["d", "directory", true],
        ["d/f", "file", false],
        ["w", "whiteout", false],
        ["x", "file", false],
        ["y", "directory", true],
      ],
    );
  }
});

test("writeLayerIndex() makes a removed path with entries below it a new directory", (t) => {
  const index = indexOf(t, [whiteout("d"), file("d/f")]);
  assert.deepEqual(
    [index.get("d")!.type, index.get("d")!.opaque, index.get("d")!.implicit],
    ["directory", true, undefined],
  );
});

test("writeLayerIndex() gives hard links their file and each group its first path", (t) => {
  const index = indexOf(t, [
    file("z", { mode: 0o4755, dataOffset: 99 }),
    { ...link("a", "z"), mode: 0o4755 },
    { ...link("b", "a"), mode: 0o4755 },
    file("c"),
  ]);
  for (const name of ["a", "b", "z"]) {
    const entry = index.get(name)!;
    assert.deepEqual([entry.hardLinkOf, entry.mode, entry.dataOffset], ["a", 0o4755, 99], name);
  }
  assert.equal(index.get("c")!.hardLinkOf, undefined);
});

test("trap: the last header of a hard link's names counts for all of them", (t) => {
  const capability = { "security.capability": Buffer.from("c") };
  const attribute = (name: string) => ({ [`user.${name}`]: Buffer.from(name) });
  const index = indexOf(t, [
    file("f", { mode: 0o4755, xattrs: { ...capability, ...attribute("first") } }),
    { ...link("z", "f"), mode: 0o600, uid: 5, mtime: 50 },
    { ...link("a", "z"), mode: 0o640, gid: 6, xattrs: attribute("last") },
    file("other", { xattrs: capability }),
    { ...link("other-link", "other"), xattrs: capability },
  ]);
  for (const name of ["a", "f", "z"]) {
    const { mode, uid, gid, mtime, dataOffset, xattrs } = index.get(name)!;
    assert.deepEqual([mode, uid, gid, mtime, dataOffset], [0o640, 1, 6, 7, 512], name);
    assert.deepEqual({ ...xattrs }, { ...attribute("first"), ...attribute("last") });
  }
  assert.deepEqual({ ...index.get("other-link")!.xattrs }, capability);
});

test("writeLayerIndex() keeps a hard link into a lower layer as such", (t) => {
  const index = indexOf(t, [link("a", "below"), link("b", "a")]);
  for (const name of ["a", "b"]) {
    assert.equal(index.get(name)!.hardLinkOf, "below");
    assert.equal(index.get(name)!.foreignLink, true);
  }
});

test("writeLayerIndex() refuses what contradicts itself", (t) => {
  const invalid = { code: "image-invalid" };
  assert.throws(() => indexOf(t, [file("a"), file("a/b")]), {
    ...invalid,
    message: /"\/a\/b" lies in "\/a"/,
  });
  assert.throws(() => indexOf(t, [link("a", "b"), link("b", "a")]), { ...invalid, message: /circle/ });
  assert.throws(() => indexOf(t, [directory("d"), link("a", "d")]), {
    ...invalid,
    message: /it is a directory/,
  });
  assert.throws(() => indexOf(t, [file("")]), { ...invalid, message: /root/ });
});
