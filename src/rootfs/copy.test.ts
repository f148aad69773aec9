import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { type MemberLike, makeLayer, makeTar, makeTemporaryDirectory } from "../../test/make-layers.ts";
import { makeIgnoreMatcher } from "../dockerfile/make-ignore-matcher.ts";
import type { CopyRequestSource, CopyTree, SelectCopyRequest } from "./copy-request.ts";
import { IndexReader } from "./index-reader.ts";
import { indexUpperDirectory } from "./index-upper-directory.ts";
import type { Layer } from "./layer.ts";
import { loadLibc } from "./libc.ts";
import { materialiseLayer } from "./materialise-layer.ts";
import { packLayer } from "./pack-layer.ts";
import { pathFromText } from "./rootfs-path.ts";
import { selectCopy } from "./select-copy.ts";
import { openUnionTree } from "./union-tree.ts";
import { writeCopyLayer } from "./write-copy-layer.ts";

const CAPABILITY = Buffer.from("0100000200200000000000000000000000000000", "hex");
const link = (name: string, linkName: string): MemberLike => ({
  name,
  type: "symlink",
  linkName,
  mode: 0o777,
});
const skipUnlessRoot =
  process.platform === "linux" && process.getuid?.() === 0 ? false : "needs root on Linux";

/** A bench for copies: layers to copy from, layers to copy into, a context on disk. */
class Bench {
  readonly at: string;
  readonly layersDirectory: string;
  readonly context: string;
  base: Layer[] = [];

  constructor(t: TestContext) {
    this.at = makeTemporaryDirectory(t);
    this.layersDirectory = join(this.at, "layers");
    this.context = join(this.at, "context");
    mkdirSync(this.context);
  }

  layer(members: readonly MemberLike[]): Promise<Layer> {
    return makeLayer(this.layersDirectory, members);
  }

  async baseOf(...layers: readonly (readonly MemberLike[])[]): Promise<void> {
    for (const members of layers) this.base.push(await this.layer(members));
  }

  file(name: string, content: string | Buffer = name, mode = 0o644): void {
    mkdirSync(dirname(join(this.context, name)), { recursive: true });
    writeFileSync(join(this.context, name), content);
    chmodSync(join(this.context, name), mode);
    utimesSync(join(this.context, name), 2000, 2000);
  }

  fromContext(
    paths: string | readonly string[],
    ignorePatterns: readonly string[] = [],
  ): CopyRequestSource[] {
    const tree: CopyTree = { kind: "directory", directory: this.context, ignorePatterns };
    return [paths].flat().map((path) => ({ kind: "path", tree, path }));
  }

  async from(members: readonly MemberLike[], ...paths: string[]): Promise<CopyRequestSource[]> {
    const tree: CopyTree = { kind: "layers", layers: [await this.layer(members)] };
    return paths.map((path) => ({ kind: "path", tree, path }));
  }

  select(sources: readonly CopyRequestSource[], destination: string, part: Partial<SelectCopyRequest> = {}) {
    const request = { sources, destination, temporaryDirectory: this.at, ...part };
    return selectCopy(request, { makeIgnoreMatcher });
  }

  /** Copies, and lists what the new layer has: path, mode, owner and content or target. */
  async copy(
    sources: readonly CopyRequestSource[],
    destination: string,
    part: Partial<SelectCopyRequest> = {},
  ): Promise<string[]> {
    const selection = this.select(sources, destination, part);
    try {
      const request = {
        selection,
        base: this.base,
        userLayers: this.base,
        layersDirectory: this.layersDirectory,
        mtime: 5,
      };
      const { layer } = await writeCopyLayer(request, { makeIgnoreMatcher });
      return this.list(layer);
    } finally {
      rmSync(selection.selectionPath);
      assert.ok(
        !readdirSync(this.layersDirectory).some((name) => name.startsWith(".")),
        "nothing temporary stays",
      );
    }
  }

  list(layer: Layer): string[] {
    this.last = layer;
    using tree = openUnionTree([layer]);
    using index = new IndexReader(layer.indexPath);
    assert.ok(!index.hasImplicit, "every parent is listed");
    return [...tree.walk()].slice(1).map((found) => {
      const { path, type, mode, uid, gid, linkTarget } = found.entry;
      const owner = uid === 0 && gid === 0 ? "" : ` ${uid}:${gid}`;
      const what =
        type === "file"
          ? ` "${tree.readWhole(found)}"`
          : type === "symlink"
            ? ` -> ${linkTarget}`
            : ` ${type}`;
      return `${path} ${mode.toString(8)}${owner}${what}`;
    });
  }

  last: Layer | undefined;

  entry(path: string) {
    using index = new IndexReader(this.last!.indexPath);
    return index.lookup(pathFromText(path))!;
  }
}

test("COPY of a file: to a name, into a directory, with a slash, below parents that are missing", async (t) => {
  const bench = new Bench(t);
  bench.file("a", "A");
  await bench.baseOf([{ name: "dir/", mode: 0o711, uid: 3 }]);
  const source = bench.fromContext("/a");
  assert.deepEqual(await bench.copy(source, "/b"), ['b 644 "A"']);
  assert.deepEqual(await bench.copy(source, "/dir"), ["dir 711 3:0 directory", 'dir/a 644 "A"']);
  assert.deepEqual(await bench.copy(source, "/new/"), ["new 755 directory", 'new/a 644 "A"']);
  assert.deepEqual(await bench.copy(source, "/x/y"), ["x 755 directory", 'x/y 644 "A"']);
  assert.deepEqual(await bench.copy(source, "/"), ['a 644 "A"']);
  assert.deepEqual([bench.entry("/a").mtime, bench.entry("/a").mtimeNs], [2000, 0]);
});

test("COPY of a directory copies its contents; the destination keeps its mode, or is made 0755", async (t) => {
  const bench = new Bench(t);
  const members: MemberLike[] = [
    { name: "d/", mode: 0o700, uid: 9, mtime: 77 },
    { name: "d/f", content: "F", mode: 0o4751, uid: 1, gid: 2 },
    { name: "d/sub/", mode: 0o750, uid: 4, mtime: 78 },
    { name: "d/sub/s", content: "S" },
  ];
  await bench.baseOf([
    { name: "have/", mode: 0o711, uid: 5 },
    { name: "have/sub/", mode: 0o777 },
    { name: "have/old" },
  ]);
  const source = await bench.from(members, "/d");
  const contents = (to: string) => [
    `${to}/f 4751 1:2 "F"`,
    `${to}/sub 750 4:0 directory`,
    `${to}/sub/s 644 "S"`,
  ];
  assert.deepEqual(await bench.copy(source, "/new"), ["new 755 directory", ...contents("new")]);
  assert.deepEqual([bench.entry("/new").mtime, bench.entry("/new/sub").mtime], [77, 78]);
  assert.deepEqual(await bench.copy(source, "/have"), ["have 711 5:0 directory", ...contents("have")]);
  assert.deepEqual(await bench.copy(await bench.from(members, "/"), "/x/"), [
    "x 755 directory",
    "x/d 700 9:0 directory",
    ...contents("x/d"),
  ]);
});

test("COPY makes directories as docker's mkdir(2) does: setgid and the group above are handed on", async (t) => {
  const bench = new Bench(t);
  bench.file("d/sub/f", "F");
  await bench.baseOf([{ name: "shared/", mode: 0o2775, uid: 5, gid: 6 }]);
  const shared = "shared 2775 5:6 directory";
  const file = bench.fromContext("/d/sub/f");
  assert.deepEqual(await bench.copy(file, "/shared/a/b/"), [
    shared,
    "shared/a 2755 0:6 directory",
    "shared/a/b 2755 0:6 directory",
    'shared/a/b/f 644 "F"',
  ]);
  assert.deepEqual(await bench.copy(file, "/shared/a/", { chown: "7:8" }), [
    shared,
    "shared/a 2755 7:8 directory",
    'shared/a/f 644 7:8 "F"',
  ]);
  // What is copied is given its own owner and mode.
  assert.deepEqual(await bench.copy(bench.fromContext("/d"), "/shared/a"), [
    shared,
    "shared/a 2755 0:6 directory",
    "shared/a/sub 755 directory",
    'shared/a/sub/f 644 "F"',
  ]);
});

test("COPY from a context belongs to 0:0, from layers to whom it belonged", {
  skip: skipUnlessRoot,
}, async (t) => {
  const bench = new Bench(t);
  bench.file("f", "x", 0o6755);
  execFileSync("chown", ["7:8", join(bench.context, "f")]);
  chmodSync(join(bench.context, "f"), 0o6755);
  assert.deepEqual(await bench.copy(bench.fromContext("/f"), "/f"), ['f 6755 "x"']);
  assert.deepEqual(await bench.copy(await bench.from([{ name: "f", uid: 7, gid: 8 }], "/f"), "/f"), [
    'f 644 7:8 ""',
  ]);
});

test("COPY keeps links in a tree and follows those that are named", async (t) => {
  const bench = new Bench(t);
  bench.file("real/f", "F");
  symlinkSync("/etc/passwd", join(bench.context, "real/abs"));
  symlinkSync("gone", join(bench.context, "real/dangling"));
  symlinkSync("../../..", join(bench.context, "real/up"));
  symlinkSync("real", join(bench.context, "dirlink"));
  symlinkSync("real/f", join(bench.context, "filelink"));
  symlinkSync("/real/f", join(bench.context, "abslink"));
  assert.deepEqual(await bench.copy(bench.fromContext("/dirlink"), "/d"), [
    "d 755 directory",
    "d/abs 777 -> /etc/passwd",
    "d/dangling 777 -> gone",
    'd/f 644 "F"',
    "d/up 777 -> ../../..",
  ]);
  assert.deepEqual(await bench.copy(bench.fromContext(["/filelink", "/abslink", "/dirlink/f"]), "/d/"), [
    "d 755 directory",
    'd/abslink 644 "F"',
    'd/f 644 "F"',
    'd/filelink 644 "F"',
  ]);
});

test("COPY never reads outside the context", async (t) => {
  const bench = new Bench(t);
  writeFileSync(join(bench.at, "secret"), "secret");
  symlinkSync("../secret", join(bench.context, "relative"));
  symlinkSync(join(bench.at, "secret"), join(bench.context, "absolute"));
  symlinkSync("..", join(bench.context, "up"));
  for (const path of ["/relative", "/absolute", "/../secret", "/up/secret"]) {
    await assert.rejects(
      () => bench.copy(bench.fromContext(path), "/x"),
      { code: "copy-source-missing" },
      path,
    );
  }
});

test("COPY follows symlinks of the destination inside its root", async (t) => {
  const bench = new Bench(t);
  bench.file("bin/tool", "T", 0o755);
  await bench.baseOf(
    [{ name: "usr/" }, { name: "usr/bin/", mode: 0o711 }, link("bin", "usr/bin")],
    [
      link("abs", "/usr"),
      link("climb", "../../../usr"),
      link("nowhere", "made/here"),
      link("f", "usr/target"),
    ],
  );
  const directories = ["usr 755 directory", "usr/bin 711 directory"];
  assert.deepEqual(await bench.copy(bench.fromContext("/bin"), "/bin/"), [
    ...directories,
    'usr/bin/tool 755 "T"',
  ]);
  assert.deepEqual(await bench.copy(bench.fromContext("/bin/tool"), "/abs/bin/x"), [
    ...directories,
    'usr/bin/x 755 "T"',
  ]);
  assert.deepEqual(await bench.copy(bench.fromContext("/bin/tool"), "/climb/y"), [
    "usr 755 directory",
    'usr/y 755 "T"',
  ]);
  assert.deepEqual(await bench.copy(bench.fromContext("/bin/tool"), "/f"), [
    "usr 755 directory",
    'usr/target 755 "T"',
  ]);
  assert.deepEqual(await bench.copy(bench.fromContext("/bin/tool"), "/nowhere/z"), [
    "made 755 directory",
    "made/here 755 directory",
    'made/here/z 755 "T"',
  ]);
});

test("COPY --link knows nothing of what is below", async (t) => {
  const bench = new Bench(t);
  bench.file("f", "F");
  await bench.baseOf([{ name: "usr/bin/" }, link("bin", "usr/bin"), { name: "pre/", mode: 0o700, uid: 5 }]);
  assert.deepEqual(await bench.copy(bench.fromContext("/f"), "/bin/f", { link: true }), [
    "bin 755 directory",
    'bin/f 644 "F"',
  ]);
  assert.deepEqual(await bench.copy(bench.fromContext("/f"), "/pre/", { link: true }), [
    "pre 755 directory",
    'pre/f 644 "F"',
  ]);
  assert.deepEqual(await bench.copy(bench.fromContext("/f"), "/pre", { link: true }), ['pre 644 "F"']);
});

test("COPY: a link met in a copied tree is replaced by a file, a directory onto it is an error", async (t) => {
  const bench = new Bench(t);
  bench.file("tree/x", "X");
  bench.file("dirs/x/y");
  await bench.baseOf([{ name: "to/" }, link("to/x", "/etc"), { name: "has/x/" }, { name: "file" }]);
  assert.deepEqual(await bench.copy(bench.fromContext("/tree"), "/to"), ["to 755 directory", 'to/x 644 "X"']);
  const failed = { code: "copy-failed" };
  await assert.rejects(() => bench.copy(bench.fromContext("/dirs"), "/to"), {
    ...failed,
    message: /a directory to "\/to\/x"/,
  });
  await assert.rejects(() => bench.copy(bench.fromContext("/tree"), "/has"), {
    ...failed,
    message: /a file to "\/has\/x"/,
  });
  await assert.rejects(() => bench.copy(bench.fromContext("/tree"), "/file"), {
    ...failed,
    message: /"\/file"/,
  });
  await assert.rejects(() => bench.copy(bench.fromContext("/tree"), "/file/x/"), {
    ...failed,
    message: /"\/file" is no directory/,
  });
});

test("COPY of several sources: the last one wins, without a slash each overwrites the other", async (t) => {
  const bench = new Bench(t);
  bench.file("one/same", "1");
  bench.file("one/only1");
  bench.file("two/same", "2");
  bench.file("f", "F");
  assert.deepEqual(await bench.copy(bench.fromContext(["/one", "/two", "/f"]), "/to/"), [
    "to 755 directory",
    'to/f 644 "F"',
    'to/only1 644 "one/only1"',
    'to/same 644 "2"',
  ]);
  assert.deepEqual(await bench.copy(bench.fromContext(["/one/same", "/f"]), "/dst"), ['dst 644 "F"']);
  await assert.rejects(() => bench.copy(bench.fromContext(["/f", "/one"]), "/dst"), { code: "copy-failed" });
});

test("COPY with wildcards matches as Go's filepath.Match does", async (t) => {
  const bench = new Bench(t);
  for (const name of ["fa.txt", "fb.txt", "f.txt", "f*.txt", ".env", ".hid/x", "s/a/in", "s/b/in", "s/b/out"])
    bench.file(name);
  symlinkSync("s", join(bench.context, "slink"));
  const names = async (...patterns: string[]) =>
    (await bench.copy(bench.fromContext(patterns), "/d/"))
      .slice(1)
      .map((line) => line.slice(2).replace(/ .*/, ""));
  assert.deepEqual(await names("/f?.txt"), ["f*.txt", "fa.txt", "fb.txt"]);
  assert.deepEqual(await names("/f[ab].txt"), ["fa.txt", "fb.txt"]);
  assert.deepEqual(await names("/f[^a].txt"), ["f*.txt", "fb.txt"]);
  assert.deepEqual(await names("/f\\*.txt"), ["f*.txt"]);
  assert.deepEqual(await names("/.*"), [".env", "x"]);
  assert.deepEqual(await names("/s/*/in"), ["in"]);
  assert.deepEqual(await names("/slink/*/out"), ["out"], "links in front of a wildcard are followed");
  assert.deepEqual(await names("/*link/b"), [], "links that a wildcard would pass are not");
  assert.deepEqual(
    await bench.copy(bench.fromContext("/s/*.none"), "/x/"),
    [],
    "nothing matches: nothing is made",
  );
  await assert.rejects(() => bench.copy(bench.fromContext("/none/*"), "/x/"), {
    code: "copy-source-missing",
  });
});

test("COPY --parents keeps the path below the pivot", async (t) => {
  const bench = new Bench(t);
  const members: MemberLike[] = [
    { name: "t/", mode: 0o711, uid: 1 },
    { name: "t/b/", mode: 0o700, uid: 2 },
    { name: "t/b/c/" },
    { name: "t/b/c/x", content: "X" },
    { name: "t/b2/c/y", content: "Y" },
    { name: "t/other", content: "O" },
  ];
  const parents = async (path: string, to = "/o/") =>
    bench.copy(await bench.from(members, path), to, { parents: true });
  assert.deepEqual(await parents("/t/b/c/x"), [
    "o 755 directory",
    "o/t 711 1:0 directory",
    "o/t/b 700 2:0 directory",
    "o/t/b/c 755 directory",
    'o/t/b/c/x 644 "X"',
  ]);
  assert.deepEqual(await parents("/t/./b/c"), [
    "o 755 directory",
    "o/b 700 2:0 directory",
    "o/b/c 755 directory",
    'o/b/c/x 644 "X"',
  ]);
  assert.deepEqual(await parents("/t/b*/./c/**/[xy]"), [
    "o 755 directory",
    "o/c 755 directory",
    'o/c/x 644 "X"',
    'o/c/y 644 "Y"',
  ]);
  assert.deepEqual(await parents("/t/b/c/."), await parents("/t/b/c"));
  assert.deepEqual(await parents("/t/none*"), ["o 755 directory"]);
  await assert.rejects(parents("/t/none"), { code: "copy-source-missing", message: /"\/t\/none"/ });
});

test("COPY --exclude leaves out, and lets exceptions back in", async (t) => {
  const bench = new Bench(t);
  for (const name of ["a.md", "b.txt", "d/c.md", "d/e.txt", "d/k/keep.md", "z/only.md"]) bench.file(name);
  const copy = async (sources: string | string[], ...exclude: string[]) =>
    (await bench.copy(bench.fromContext(sources), "/o/", { exclude })).map((line) => line.replace(/ .*/, ""));
  assert.deepEqual(await copy("/", "**/*.md", "!d/k/keep.md"), [
    "o",
    "o/b.txt",
    "o/d",
    "o/d/e.txt",
    "o/d/k",
    "o/d/k/keep.md",
    "o/z",
  ]);
  assert.deepEqual(await copy("/", "d", "z", "*.txt"), ["o", "o/a.md"]);
  assert.deepEqual(await copy("/*", "*.txt", "d", "z", "c.md"), ["o", "o/a.md"]);
});

test("COPY --chmod and --chown reach everything, parents that are made too, links but for their mode", async (t) => {
  const bench = new Bench(t);
  bench.file("d/f", "F", 0o600);
  bench.file("d/x", "X", 0o700);
  symlinkSync("f", join(bench.context, "d/l"));
  await bench.baseOf([{ name: "etc/passwd", content: "root:x:9:9::/:\napp:x:1000:1001::/:/bin/sh\n" }]);
  await bench.baseOf([
    { name: "etc/group", content: "extra:x:2000:\n" },
    { name: "have/", mode: 0o700 },
  ]);
  const copy = (part: Partial<SelectCopyRequest>, to = "/n/d") =>
    bench.copy(bench.fromContext("/d"), to, part);
  assert.deepEqual(await copy({ chmod: "640", chown: "app:extra" }), [
    "n 640 1000:2000 directory",
    "n/d 640 1000:2000 directory",
    'n/d/f 640 1000:2000 "F"',
    "n/d/l 777 1000:2000 -> f",
    'n/d/x 640 1000:2000 "X"',
  ]);
  assert.deepEqual((await copy({ chmod: "u=rwX,go=rX" })).slice(2), [
    'n/d/f 644 "F"',
    "n/d/l 777 -> f",
    'n/d/x 755 "X"',
  ]);
  assert.deepEqual((await copy({ chmod: "+x" })).at(2), 'n/d/f 711 "F"');
  assert.deepEqual((await copy({ chmod: "a-rwx,u+s,o=t" })).at(2), 'n/d/f 5000 "F"');
  assert.deepEqual((await copy({ chmod: "755", chown: "3" }, "/have"))[0], "have 700 directory");
  assert.deepEqual((await copy({ chown: "app" })).at(2), 'n/d/f 600 1000:1001 "F"');
  assert.deepEqual((await copy({ chown: ":extra" })).at(2), 'n/d/f 600 0:2000 "F"');
  assert.deepEqual((await copy({ chown: "33" })).at(2), 'n/d/f 600 33:33 "F"');
  assert.deepEqual((await copy({ chown: "root:root" })).at(2), 'n/d/f 600 "F"', "root is no name");
  assert.deepEqual((await copy({ chown: "77:88", link: true })).at(2), 'n/d/f 600 77:88 "F"');
  assert.deepEqual((await copy({ chown: "app:0", link: true })).at(0), "n 755 1000:0 directory");
  const invalid = { code: "option-invalid" };
  await assert.rejects(() => copy({ chown: "nobody" }), { ...invalid, message: /no user "nobody"/ });
  await assert.rejects(() => copy({ chown: "app:none" }), { ...invalid, message: /no group "none"/ });
  for (const chmod of ["999", "u+q", "rwx", "u=", "17777", ""]) {
    if (chmod === "" || chmod === "u=") await copy({ chmod });
    else await assert.rejects(() => copy({ chmod }), { ...invalid, message: /--chmod/ }, chmod);
  }
});

test("COPY of an image's files and ADD of an archive leave access lists and labels behind, as a context does", async (t) => {
  const bench = new Bench(t);
  const xattrs = {
    "system.posix_acl_default": Buffer.from([2, 0, 0, 0]),
    "security.selinux": Buffer.from("label"),
    "user.note": Buffer.from("n"),
  };
  const members = [{ name: "d/", xattrs }] as const;
  await bench.copy(await bench.from(members, "/"), "/o");
  assert.deepEqual(Object.keys(bench.entry("/o/d").xattrs!), ["user.note"]);
  bench.file("a.tar", makeTar(members));
  await bench.copy(bench.fromContext("/a.tar"), "/o/", { unpack: true });
  assert.deepEqual(Object.keys(bench.entry("/o/d").xattrs!), ["user.note"]);
});

test("COPY keeps hard links among what one source names, attributes, devices and fifos; a socket is an empty file", {
  skip: skipUnlessRoot,
}, async (t) => {
  const bench = new Bench(t);
  const libc = loadLibc();
  bench.file("d/z", "same");
  linkSync(join(bench.context, "d/z"), join(bench.context, "d/a"));
  linkSync(join(bench.context, "d/z"), join(bench.context, "outside"));
  libc.lsetxattr(join(bench.context, "d/z"), "security.capability", CAPABILITY);
  libc.lsetxattr(join(bench.context, "d/z"), "user.note", Buffer.from("n"));
  execFileSync("mkfifo", [join(bench.context, "d/p")]);
  execFileSync("mknod", [join(bench.context, "d/n"), "b", "7", "3"]);
  const server = createServer().listen(join(bench.context, "d/socket"));
  await new Promise((done) => server.on("listening", done));
  t.after(() => server.close());
  assert.deepEqual(await bench.copy(bench.fromContext("/d"), "/o"), [
    "o 755 directory",
    'o/a 644 "same"',
    "o/n 644 block",
    "o/p 644 fifo",
    'o/socket 755 ""',
    'o/z 644 "same"',
  ]);
  assert.equal(bench.entry("/o/z").hardLinkOf, "o/a");
  assert.deepEqual(Object.keys(bench.entry("/o/z").xattrs!).sort(), ["security.capability", "user.note"]);
  await bench.copy(bench.fromContext(["/d/a", "/d/z"]), "/o/");
  assert.equal(bench.entry("/o/z").hardLinkOf, undefined, "two sources are two files");
  await bench.copy(bench.fromContext("/outside"), "/o");
  assert.equal(bench.entry("/o").hardLinkOf, undefined);
  const layered = [
    { name: "b", content: "1" },
    { name: "a", type: "hardlink", linkName: "b" },
    { name: "c", content: "2" },
  ] as const;
  assert.deepEqual(await bench.copy(await bench.from(layered, "/"), "/"), [
    'a 644 "1"',
    'b 644 "1"',
    'c 644 "2"',
  ]);
  assert.equal(bench.entry("/b").hardLinkOf, "a");
});

test("COPY of names that are not UTF-8, long paths, empty and large files", async (t) => {
  const bench = new Bench(t);
  const odd = Buffer.concat([Buffer.from(`${bench.context}/`), Buffer.from([0xff, 0x2d, 0xe9])]);
  writeFileSync(odd, "odd");
  const deep = Array.from({ length: 16 }, (_, at) => `${at}${"d".repeat(200)}`).join("/");
  bench.file(`${deep}/f`, "deep");
  bench.file("empty", "");
  bench.file("large", Buffer.alloc(900_000, "l"));
  const lines = await bench.copy(bench.fromContext("/"), "/");
  assert.equal(lines.length, 20);
  assert.ok(lines.includes('\xff-\xe9 644 "odd"'));
  assert.ok(lines.includes(`${deep}/f 644 "deep"`));
  assert.equal(bench.entry("/large").size, 900_000);
});

test("COPY of inline content and of downloaded files", async (t) => {
  const bench = new Bench(t);
  mkdirSync(bench.layersDirectory);
  const inline: CopyRequestSource = { kind: "inline", name: "héllo", content: "hi é\n" };
  assert.deepEqual(await bench.copy([inline], "/x"), ['x 644 "hi é\n"']);
  assert.deepEqual(await bench.copy([inline], "/d/"), [
    "d 755 directory",
    `d/${Buffer.from("héllo").toString("latin1")} 644 "hi é\n"`,
  ]);
  writeFileSync(join(bench.at, "download"), "D");
  const file: CopyRequestSource = {
    kind: "file",
    filePath: join(bench.at, "download"),
    name: "data.bin",
    mode: 0o600,
    mtime: 99,
  };
  assert.deepEqual(await bench.copy([file], "/d/"), ["d 755 directory", 'd/data.bin 600 "D"']);
  assert.equal(bench.entry("/d/data.bin").mtime, 99);
});

test("COPY says what is missing, and what is there instead", async (t) => {
  const bench = new Bench(t);
  bench.file("src/main.go");
  bench.file("secret.txt");
  symlinkSync("gone", join(bench.context, "dangling"));
  const refuse = (path: string, hint: RegExp, ignore: string[] = []) =>
    assert.rejects(
      () => bench.copy(bench.fromContext(path, ignore), "/x"),
      (error: Error & { code: string; hint?: string }) => {
        assert.equal(error.code, "copy-source-missing");
        assert.ok(error.message.includes(`"${path}"`), error.message);
        assert.match(error.hint ?? "", hint);
        return true;
      },
    );
  await refuse("/src/mian.go", /Did you mean "\/src\/main.go"/);
  await refuse("/scr/main.go", /Did you mean "\/src"/);
  await refuse("/secret.txt", /The pattern "secret\.\*" of the ignore file leaves it out/, [
    "a",
    "secret.*",
    "!b",
  ]);
  await refuse("/src/main.go", /The pattern "src" of the ignore file leaves it out/, ["src"]);
  await refuse("/src/mian.go", /The pattern "src" of the ignore file leaves "\/src" out/, ["src"]);
  await refuse("/dangling", /symlink to "gone"/);
  await refuse("/nothing-like-it", /^$/);
});

test("COPY honours the ignore patterns of its context", async (t) => {
  const bench = new Bench(t);
  mkdirSync(bench.layersDirectory);
  for (const name of ["a.txt", "b.md", "sub/deep/a.txt", "sub/b.md", "empty/x.md"]) bench.file(name);
  const lines = await bench.copy(bench.fromContext("/", ["*", "!**/a.txt", "!a.txt"]), "/c/");
  const names = lines.map((line) => line.replace(/ .*/, ""));
  assert.deepEqual(names, ["c", "c/a.txt", "c/sub", "c/sub/deep", "c/sub/deep/a.txt"]);
});

test("COPY refuses a name that would be a whiteout", async (t) => {
  const bench = new Bench(t);
  bench.file("d/.wh.x");
  for (const path of ["/d", "/d/.wh.x"]) {
    await assert.rejects(() => bench.copy(bench.fromContext(path), "/o/"), {
      code: "copy-failed",
      message: /"\/d\/\.wh\.x"/,
    });
  }
});

test("COPY: a file that changes after it was selected is an error", async (t) => {
  const bench = new Bench(t);
  for (const change of ["longer content", "BBBBBBB", "short", undefined]) {
    bench.file("f", "AAAAAAA");
    const selection = bench.select(bench.fromContext("/f"), "/f");
    if (change === undefined) rmSync(join(bench.context, "f"));
    else writeFileSync(join(bench.context, "f"), change);
    const request = { selection, base: [], layersDirectory: bench.layersDirectory };
    await assert.rejects(() => writeCopyLayer(request, { makeIgnoreMatcher }), {
      code: "copy-failed",
      message: 'Cannot copy "/f": it changed while it was read',
    });
    assert.deepEqual(readdirSync(bench.layersDirectory), []);
  }
});

test("the content digest changes with what is written and with nothing else", {
  skip: skipUnlessRoot,
}, async (t) => {
  const bench = new Bench(t);
  const digest = (part: Partial<SelectCopyRequest> = {}, path = "/d") =>
    bench.select(bench.fromContext(path), "/o", part).contentDigest;
  bench.file("d/f", "F");
  bench.file("d/g", "F");
  const first = digest();
  utimesSync(join(bench.context, "d/f"), 1, 1);
  execFileSync("chown", ["5:5", join(bench.context, "d/f")]);
  chmodSync(join(bench.context, "d"), 0o700);
  assert.equal(digest(), first, "times, owners that are overwritten, the directory's own mode");
  assert.equal(digest({}, "/./d/"), first);
  const seen = new Set([first]);
  const isNew = (what: string, part: Partial<SelectCopyRequest> = {}) => {
    const found = digest(part);
    assert.ok(!seen.has(found), what);
    seen.add(found);
  };
  assert.equal(digest({ chown: "app" }), first, "who a name is: the text and the base are in the key");
  isNew("chmod", { chmod: "600" });
  chmodSync(join(bench.context, "d/f"), 0o600);
  isNew("mode");
  writeFileSync(join(bench.context, "d/f"), "f");
  isNew("content");
  loadLibc().lsetxattr(join(bench.context, "d/f"), "user.x", Buffer.from("1"));
  isNew("attribute");
  rmSync(join(bench.context, "d/g"));
  isNew("a name less");
  linkSync(join(bench.context, "d/f"), join(bench.context, "d/g"));
  isNew("a hard link");
  rmSync(join(bench.context, "d/g"));
  symlinkSync("f", join(bench.context, "d/g"));
  isNew("a link");
  rmSync(join(bench.context, "d/g"));
  mkdirSync(join(bench.context, "d/g"));
  isNew("a directory");
});

test("the same tree has the same digest and diff ID from a context and from layers", {
  skip: skipUnlessRoot,
}, async (t) => {
  const bench = new Bench(t);
  bench.file("d/f", "F");
  bench.file("d/s/g", "G", 0o755);
  utimesSync(join(bench.context, "d/s"), 2000, 2000);
  utimesSync(join(bench.context, "d"), 2000, 2000);
  await bench.copy(bench.fromContext("/"), "/");
  const layers = [bench.last!];
  const tree: CopyTree = { kind: "layers", layers };
  const fromContext = bench.select(bench.fromContext("/d"), "/o");
  const fromLayers = bench.select([{ kind: "path", tree, path: "/d" }], "/o");
  assert.equal(fromContext.contentDigest, fromLayers.contentDigest);
  const write = (selection: typeof fromContext) =>
    writeCopyLayer({ selection, base: [], layersDirectory: bench.layersDirectory }, { makeIgnoreMatcher });
  const written = await write(fromContext);
  assert.equal(written.diffId, (await write(fromLayers)).diffId);
  // The streamed form and the form that is packed from a directory are the same tar.
  materialiseLayer({ layer: written.layer, below: [], directory: join(bench.at, "fs") });
  const again = indexUpperDirectory({
    directory: join(bench.at, "fs"),
    indexPath: join(bench.at, "index"),
    id: "r",
    base: [],
  });
  const packed = await packLayer({ layer: again, compression: "gzip", blobPath: join(bench.at, "blob") });
  assert.equal(packed.diffId, written.diffId);
  const list = execFileSync("tar", ["-tvzf", join(bench.at, "blob"), "--numeric-owner", "--utc"]).toString();
  assert.match(list, /drwxr-xr-x 0\/0 +0 1970-01-01 00:33 o\/\n-rw-r--r-- 0\/0 +1 1970-01-01 00:33 o\/f\n/);
  assert.ok(readFileSync(join(bench.at, "blob")).length > 0);
});

const archive: readonly MemberLike[] = [
  { name: "./", mode: 0o700, uid: 9 },
  { name: "d/", mode: 0o750, uid: 1000, gid: 33, mtime: 900 },
  { name: "d/f", content: "F", mode: 0o640, uid: 1000, mtime: 800 },
  { name: "d/h", type: "hardlink", linkName: "d/f" },
  { name: "d/s", type: "symlink", linkName: "f", mode: 0o777 },
  { name: "deep/er/x", content: "X" },
  { name: "../up", content: "U" },
  { name: "/abs", content: "A" },
];
const unpacked = (to: string) => [
  `${to}/abs 644 "A"`,
  `${to}/d 750 1000:33 directory`,
  `${to}/d/f 640 1000:0 "F"`,
  `${to}/d/h 640 1000:0 "F"`,
  `${to}/d/s 777 -> f`,
  `${to}/deep 755 directory`,
  `${to}/deep/er 755 directory`,
  `${to}/deep/er/x 644 "X"`,
  `${to}/up 644 "U"`,
];

test("ADD unpacks archives by their content: plain, gzip, zstd, bzip2, xz", async (t) => {
  const bench = new Bench(t);
  mkdirSync(bench.layersDirectory);
  const tar = makeTar(archive);
  writeFileSync(join(bench.context, "plain"), tar);
  writeFileSync(join(bench.context, "a.gz"), gzipSync(tar));
  writeFileSync(join(bench.context, "a.zst"), zstdCompressSync(tar));
  writeFileSync(join(bench.context, "oddname.bin"), execFileSync("xz", ["-c"], { input: tar }));
  writeFileSync(join(bench.context, "a.tbz"), execFileSync("bzip2", ["-c"], { input: tar }));
  for (const name of ["plain", "a.gz", "a.zst", "oddname.bin", "a.tbz"]) {
    const lines = await bench.copy(bench.fromContext(`/${name}`), "/to", { unpack: true });
    assert.deepEqual(lines, ["to 755 directory", ...unpacked("to")], name);
    assert.equal(bench.entry("/to/d/h").hardLinkOf, "to/d/f");
    assert.deepEqual([bench.entry("/to/d").mtime, bench.entry("/to/d/f").mtime], [900, 800]);
    const kept = await bench.copy(bench.fromContext(`/${name}`), "/to", {});
    assert.equal(kept.length, 1, "COPY does not unpack");
  }
});

test("ADD unpacks a bzip2 archive of several streams, as pbzip2 makes it", async (t) => {
  const bench = new Bench(t);
  mkdirSync(bench.layersDirectory);
  const members = ["a", "b", "c"].map((name) => ({ name, content: randomBytes(600_000).toString("base64") }));
  const tar = makeTar(members);
  const parts = [0, 700_000, 1_400_000].map((start) =>
    tar.subarray(start, start === 1_400_000 ? undefined : start + 700_000),
  );
  bench.file("a.tar.bz2", Buffer.concat(parts.map((input) => execFileSync("bzip2", ["-c"], { input }))));
  const lines = await bench.copy(bench.fromContext("/a.tar.bz2"), "/", { unpack: true });
  const expected = members.map(({ name, content }) => `${name} 644 "${content}"`);
  assert.ok(lines.join("\n") === expected.join("\n"));
});

test("ADD of what is no archive copies it", async (t) => {
  const bench = new Bench(t);
  mkdirSync(bench.layersDirectory);
  bench.file("fake.tar", "not a tar\n");
  bench.file("text.gz", gzipSync("x"));
  bench.file("broken.gz", Buffer.concat([gzipSync("x").subarray(0, 8), Buffer.from("broken")]));
  bench.file("zeros", Buffer.alloc(2048));
  bench.file("fake.xz", Buffer.from("fd377a585a00ff", "hex"));
  bench.file("fake.bz2", "BZhello");
  bench.file("empty", "");
  const lines = await bench.copy(bench.fromContext("/"), "/d/", { unpack: true });
  assert.equal(lines.length, 8);
  for (const name of ["fake.tar", "text.gz", "broken.gz", "zeros", "fake.xz", "fake.bz2", "empty"]) {
    const one = await bench.copy(bench.fromContext(`/${name}`), "/d/", { unpack: true });
    assert.equal(one.length, 2, name);
  }
});

test("ADD of an archive that breaks behind its beginning fails, however small it is", async (t) => {
  const bench = new Bench(t);
  mkdirSync(bench.layersDirectory);
  const tar = makeTar([{ name: "a", content: "hello" }, { name: "b" }]);
  const gzip = gzipSync(tar);
  const zstd = zstdCompressSync(tar, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  const run = (program: string) => execFileSync(program, ["-c"], { input: tar });
  const [bzip2, xz] = [run("bzip2"), run("xz")];
  const garbage = Buffer.from("what is no archive");
  const flip = (bytes: Buffer, at: number) =>
    Buffer.from(bytes.map((byte, place) => (place === bytes.length + at ? byte ^ 1 : byte)));
  const broken = {
    // Of gzip's trailer: the checksum, then the size.
    "crc.gz": flip(gzip, -8),
    "cut.gz": gzip.subarray(0, -4),
    "garbage.gz": Buffer.concat([gzip, garbage]),
    "checksum.zst": flip(zstd, -1),
    "cut.zst": zstd.subarray(0, -4),
    "cut.bz2": bzip2.subarray(0, -5),
    "garbage.bz2": Buffer.concat([bzip2, garbage]),
    "cut.xz": xz.subarray(0, -5),
    "garbage.xz": Buffer.concat([xz, garbage]),
    "member.tar": tar.subarray(0, 512 + 3),
    "header.tar": flip(tar, -tar.length + 1024 + 10),
  };
  for (const [name, bytes] of Object.entries(broken)) {
    bench.file(name, bytes);
    const copied = bench.copy(bench.fromContext(`/${name}`), "/d/", { unpack: true });
    const message = /cut off|end of file/;
    const expected = name.startsWith("cut") || name === "member.tar" ? { message } : {};
    await assert.rejects(copied, { name: "BuildError", code: "copy-failed", ...expected }, name);
  }
});

test("ADD of an archive replaces what it lists and keeps the rest; --chown reaches members, --chmod does not", async (t) => {
  const bench = new Bench(t);
  await bench.baseOf([
    { name: "to/", mode: 0o711 },
    { name: "to/d/", mode: 0o700, uid: 5 },
    { name: "to/d/stay" },
    { name: "to/deep/", mode: 0o701, uid: 6 },
    { name: "to/abs/" },
    { name: "to/abs/gone" },
    { name: "to/usr/lib/" },
    link("to/lib", "/usr/lib"),
  ]);
  bench.file("a.tar", makeTar(archive));
  bench.file("lib.tar", makeTar([{ name: "lib/new", content: "N" }]));
  const lines = unpacked("to").map((line) => line.replace("to/deep 755", "to/deep 701 6:0"));
  assert.deepEqual(await bench.copy(bench.fromContext("/a.tar"), "/to/", { unpack: true }), [
    "to 711 directory",
    ...lines,
  ]);
  const owned = await bench.copy(bench.fromContext("/a.tar"), "/to", {
    unpack: true,
    chown: "7:8",
    chmod: "777",
  });
  assert.ok(owned.includes('to/d/f 640 7:8 "F"'));
  assert.ok(owned.includes("to/deep 701 6:0 directory"));
  assert.deepEqual(await bench.copy(bench.fromContext("/lib.tar"), "/to", { unpack: true }), [
    "to 711 directory",
    "to/usr 755 directory",
    "to/usr/lib 755 directory",
    'to/usr/lib/new 644 "N"',
  ]);
});

test("ADD of several archives and files: each in its turn", async (t) => {
  const bench = new Bench(t);
  mkdirSync(bench.layersDirectory);
  bench.file(
    "1.tar",
    makeTar([{ name: "x/" }, { name: "x/old", content: "1" }, { name: "both", content: "1" }]),
  );
  bench.file(
    "2.tar",
    makeTar([
      { name: "both", content: "2" },
      { name: "x", content: "file now" },
    ]),
  );
  bench.file("plain", "P");
  assert.deepEqual(await bench.copy(bench.fromContext(["/*.tar", "/plain"]), "/d/", { unpack: true }), [
    "d 755 directory",
    'd/both 644 "2"',
    'd/plain 644 "P"',
    'd/x 644 "file now"',
  ]);
});

test("ADD of an archive never writes outside its destination", async (t) => {
  const bench = new Bench(t);
  mkdirSync(bench.layersDirectory);
  const unpack = async (members: readonly MemberLike[]) => {
    bench.file("a.tar", makeTar(members));
    return bench.copy(bench.fromContext("/a.tar"), "/dst/", { unpack: true });
  };
  assert.deepEqual(await unpack([link("l", "/"), { name: "l/f", content: "x" }]), [
    "dst 755 directory",
    'dst/f 644 "x"',
    "dst/l 777 -> /",
  ]);
  assert.deepEqual(await unpack([link("l", "../.."), { name: "l/f", content: "x" }]), [
    "dst 755 directory",
    'dst/f 644 "x"',
    "dst/l 777 -> ../..",
  ]);
  const failed = { code: "copy-failed" };
  await assert.rejects(unpack([{ name: "a/.wh.b" }]), { ...failed, message: /"a\/\.wh\.b"/ });
  await assert.rejects(unpack([{ name: "h", type: "hardlink", linkName: "../../etc/passwd" }]), failed);
  await assert.rejects(
    unpack([{ name: "f", xattrs: { "trusted.overlay.opaque": Buffer.from("y") } }]),
    failed,
  );
  bench.file("cut.tar", makeTar([{ name: "f", content: "x".repeat(5000) }]).subarray(0, 3000));
  await assert.rejects(bench.copy(bench.fromContext("/cut.tar"), "/", { unpack: true }), {
    ...failed,
    message: /cut off/,
  });
});
