import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { makeTar as makeMembers } from "../../test/make-layers.ts";
import { serveFiles } from "../../test/serve-files.ts";
import { git, gitMissing, serveGit } from "../../test/serve-git.ts";
import { DEFAULT_LIMITS } from "../errors/input-limits.ts";
import { openUnionTree } from "../rootfs/union-tree.ts";
import { openStore, type Store } from "../store/open-store.ts";
import { makeThreadPool, type ThreadPool, workerEntry } from "../threads/thread-pool.ts";
import type { ContextOptions } from "./context-options.ts";
import type { ContextTree, OpenedContext } from "./context-tree.ts";
import { makeContextWork } from "./context-work.ts";
import { openContext, openNamedContext } from "./open-context.ts";
import { openRemoteSources, type RemoteSources } from "./remote-sources.ts";

describe("build contexts", () => {
  let root: string;
  let store: Store;
  let pool: ThreadPool;
  let remotes: RemoteSources;
  let options: ContextOptions;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "slipway-context-"));
    store = openStore(join(root, "store"));
    pool = makeThreadPool({ entry: workerEntry(), size: 1 });
    remotes = openRemoteSources({
      store,
      secrets: new Map(),
      environment: {},
      retries: { count: 0, delayMs: 1 },
    });
    options = {
      store,
      work: makeContextWork(pool),
      openRemotes: async () => remotes,
      limits: { ...DEFAULT_LIMITS, "context-size": 1 << 20 },
      signal: new AbortController().signal,
    };
  });
  afterEach(async () => {
    await remotes[Symbol.asyncDispose]();
    await pool[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  /** Writes files; a value that begins with `->` is a symlink. */
  function makeDirectory(name: string, files: Readonly<Record<string, string>>): string {
    const directory = join(root, name);
    mkdirSync(directory, { recursive: true });
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(directory, path, ".."), { recursive: true });
      if (text.startsWith("->")) symlinkSync(text.slice(2), join(directory, path));
      else writeFileSync(join(directory, path), text);
    }
    return directory;
  }

  function makeTar(files: Readonly<Record<string, string>>, ...args: string[]): Buffer {
    const directory = makeDirectory(`tar-${Math.random()}`, files);
    return execFileSync("tar", ["-c", ...args, "-C", directory, "--owner=1000", "--group=1000", "."], {
      maxBuffer: 1 << 28,
    });
  }

  async function* stream(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
  }

  const textOf = ({ dockerfile }: OpenedContext) => Buffer.from(dockerfile.bytes).toString();

  /** Paths with owners and, for a tree of layers, what COPY would see. */
  function listLayers(tree: ContextTree): string[] {
    assert.ok(tree.kind === "layers");
    using union = openUnionTree(tree.layers);
    return [...union.walk()].map(({ entry }) => `${entry.path} ${entry.uid}:${entry.gid}`).slice(1);
  }

  const FILES = {
    Dockerfile: "FROM scratch\n",
    ".dockerignore": "*.log\nnode_modules\n!node_modules/keep\n",
    "a.log": "",
    "src/b.c": "int b;",
    "node_modules/drop/x": "",
    "node_modules/keep/y": "",
  };

  describe("a tar on stdin", () => {
    const compressed: readonly (readonly string[])[] = [[], ["-z"], ["--zstd"], ["-j"], ["-J"]];
    for (const args of compressed) {
      it(`is read ${args[0] ?? "plain"}, belongs to root, and its ignore file holds`, async (t) => {
        let tar: Buffer;
        try {
          tar = makeTar(FILES, ...args);
        } catch {
          return t.skip(`tar ${args[0]} is missing its program`);
        }
        const opened = await openContext({ context: stream(tar) }, options);
        assert.equal(textOf(opened), "FROM scratch\n");
        assert.equal(opened.dockerfile.file, "Dockerfile");
        assert.deepEqual(listLayers(opened.tree), [
          ".dockerignore 0:0",
          "Dockerfile 0:0",
          "node_modules 0:0",
          "node_modules/keep 0:0",
          "node_modules/keep/y 0:0",
          "src 0:0",
          "src/b.c 0:0",
        ]);
      });
    }

    it("has its Dockerfile where -f says, with the ignore file beside it", async () => {
      const tar = makeTar({
        "d/App": "FROM a\n",
        "d/App.dockerignore": "x\n",
        ".dockerignore": "y\n",
        x: "",
        y: "",
      });
      const opened = await openContext({ context: stream(tar), dockerfilePath: "d/App" }, options);
      assert.equal(textOf(opened), "FROM a\n");
      assert.ok(listLayers(opened.tree).includes("y 0:0"));
      assert.ok(!listLayers(opened.tree).includes("x 0:0"));
    });

    it("without a Dockerfile says what may have been meant", async () => {
      const tar = makeTar({ "Dockerfile.prod": "FROM a\n" });
      await assert.rejects(openContext({ context: stream(tar) }, options), {
        code: "context",
        message: "Cannot find a Dockerfile: the archive that is the build context has none",
        hint: "Did you mean -f Dockerfile.prod?",
      });
    });

    it("never leads out of itself: a Dockerfile that is a link is looked up in the archive", async () => {
      const inside = makeTar({ Dockerfile: "->/real/Dockerfile", "real/Dockerfile": "FROM in\n" });
      assert.equal(textOf(await openContext({ context: stream(inside) }, options)), "FROM in\n");
      const outside = makeTar({ Dockerfile: "->/etc/passwd", ".dockerignore": "->../../../../etc/passwd" });
      await assert.rejects(openContext({ context: stream(outside) }, options), { code: "context" });
      const up = makeTar({ Dockerfile: "FROM up\n" });
      const options2 = { context: stream(up), dockerfilePath: "../../Dockerfile" };
      assert.equal(textOf(await openContext(options2, options)), "FROM up\n");
    });

    it("writes none of its files to the disk, whatever they are called", async () => {
      const tar = makeMembers([
        { name: "Dockerfile", content: "FROM scratch\n" },
        { name: `../../../../../../${root}/escaped`, content: "x" },
        { name: `${root}/absolute`, content: "x" },
        { name: "out", type: "symlink", linkName: root },
        { name: "out/through", content: "x" },
        { name: "hard", type: "hardlink", linkName: "../../../etc/passwd" },
      ]);
      await openContext({ context: stream(tar) }, options);
      assert.deepEqual(readdirSync(root), ["store"]);
    });

    it("that unpacks to more than the limit is refused, and memory stays small", async () => {
      const bomb = gzipSync(makeTar({ Dockerfile: "FROM scratch\n", zeroes: "\0".repeat(2 << 20) }));
      assert.ok(bomb.length < 10_000);
      await assert.rejects(openContext({ context: stream(bomb) }, options), {
        code: "input-limit",
        message: "Cannot read the archive: unpacked it is larger than the limit of 1 MiB (context-size)",
        hint: "If you trust it, raise the limit with --limit context-size=SIZE",
      });
    });

    it("that never ends is refused", async () => {
      async function* endless() {
        for (;;) yield Buffer.alloc(65_536, "x");
      }
      await assert.rejects(openContext({ context: endless() }, options), { code: "input-limit" });
      assert.deepEqual(readdirSync(store.temporaryDirectory), []);
    });

    it("that is cut off is an error", async () => {
      const tar = makeTar(FILES);
      await assert.rejects(openContext({ context: stream(tar.subarray(0, 1300)) }, options), /cut off/);
    });
  });

  describe("a Dockerfile on stdin", () => {
    it("has an empty context", async () => {
      const opened = await openContext({ context: stream(Buffer.from("FROM scratch\n")) }, options);
      assert.deepEqual(
        { file: opened.dockerfile.file, text: textOf(opened) },
        { file: "-", text: "FROM scratch\n" },
      );
      assert.ok(opened.tree.kind === "directory");
      assert.deepEqual(readdirSync(opened.tree.directory), []);
    });

    it("is refused when it is empty, or -f names another one", async () => {
      await assert.rejects(openContext({ context: stream(Buffer.alloc(0)) }, options), /it is empty$/);
      const request = { context: stream(Buffer.from("FROM a\n")), dockerfilePath: "Dockerfile" };
      await assert.rejects(openContext(request, options), { code: "option-invalid" });
    });

    it("of more than 16 MiB is refused", async () => {
      const context = stream(Buffer.alloc(17 << 20, "# \n"));
      await assert.rejects(openContext({ context }, { ...options, limits: DEFAULT_LIMITS }), {
        code: "input-limit",
        message: 'Cannot read "-": it is larger than the limit of 16 MiB (dockerfile-size)',
      });
    });
  });

  describe("a URL", () => {
    it("of a tar is that tar", async () => {
      const tar = makeTar(FILES, "-z");
      await using server = await serveFiles((_, response) => response.end(tar));
      const opened = await openContext({ context: `${server.url}/x.tgz` }, options);
      assert.equal(textOf(opened), "FROM scratch\n");
      assert.ok(listLayers(opened.tree).includes("src/b.c 0:0"));
    });

    it("of a Dockerfile is a context with that file, called context", async () => {
      await using server = await serveFiles((_, response) => response.end("FROM a\n"));
      const opened = await openContext(
        { context: `${server.url}/df`, dockerfilePath: "mydockerfile" },
        options,
      );
      assert.equal(textOf(opened), "FROM a\n");
      assert.equal(opened.dockerfile.file, `${server.url}/df`);
      assert.ok(opened.tree.kind === "directory");
      assert.deepEqual(readdirSync(opened.tree.directory), ["context"]);
    });

    it("of a Dockerfile goes with a directory, too", async () => {
      await using server = await serveFiles((_, response) => response.end("FROM a\n"));
      const context = makeDirectory("c", { x: "" });
      const opened = await openContext({ context, dockerfilePath: `${server.url}/df` }, options);
      assert.equal(textOf(opened), "FROM a\n");
      assert.ok(opened.tree.kind === "directory");
      assert.equal(opened.tree.directory, context);
    });

    it("as a named context is a directory with one file", async () => {
      await using server = await serveFiles((_, response) => {
        response.setHeader("content-disposition", "attachment; filename=../evil");
        response.end("data");
      });
      const tree = await openNamedContext(`${server.url}/d/na%20me.txt?x=1`, options);
      assert.ok(tree.kind === "directory");
      assert.equal(readFileSync(join(tree.directory, "na me.txt"), "utf8"), "data");
      for (const path of ["", "/", "/a/%2e%2e%2f", "/%2e%2e"]) {
        const odd = await openNamedContext(`${server.url}${path}`, options);
        assert.ok(odd.kind === "directory");
        assert.equal(readdirSync(odd.directory).length, 1);
      }
    });
  });

  describe("a git repository", { skip: gitMissing }, () => {
    function makeRepository(files: Readonly<Record<string, string>>): string {
      const directory = makeDirectory("served/repo", files);
      git(directory, "init", "--quiet");
      git(directory, "add", "-A", "-f");
      git(directory, "commit", "--quiet", "-m", "one");
      return directory;
    }

    it("is a context with its own Dockerfile and ignore file, at a branch and in a subdirectory", async () => {
      makeRepository({ "sub/Dockerfile": "FROM s\n", "sub/.dockerignore": "x\n", "sub/d/App": "FROM app\n" });
      await using server = await serveGit(join(root, "served"));
      const context = `${server.url}/repo/.git#main:sub`;
      const opened = await openContext({ context }, options);
      assert.deepEqual(
        { file: opened.dockerfile.file, text: textOf(opened) },
        { file: "Dockerfile", text: "FROM s\n" },
      );
      assert.ok(opened.tree.kind === "directory");
      assert.deepEqual(opened.tree.ignorePatterns, ["x"]);
      assert.equal(textOf(await openContext({ context, dockerfilePath: "d/App" }, options)), "FROM app\n");
      const kept = await openContext(
        { context: `${server.url}/repo/.git`, dockerfilePath: "sub/Dockerfile", keepGitDir: true },
        options,
      );
      assert.ok(kept.tree.kind === "directory");
      assert.ok(readdirSync(kept.tree.directory).includes(".git"));
      const named = await openNamedContext(context, options);
      assert.ok(named.kind === "directory");
      assert.deepEqual(readdirSync(named.directory).sort(), [".dockerignore", "Dockerfile", "d"]);
    });

    it("cannot have this machine read as its Dockerfile or ignore file", async () => {
      makeRepository({
        Dockerfile: "->/etc/passwd",
        App: "FROM a\n",
        "App.dockerignore": "->../../../../../../etc/passwd",
      });
      await using server = await serveGit(join(root, "served"));
      const context = `${server.url}/repo/.git`;
      for (const dockerfilePath of [undefined, "App", "../../../../../../../../etc/passwd"]) {
        await assert.rejects(
          openContext({ context, dockerfilePath }, options),
          { code: "context" },
          dockerfilePath,
        );
      }
    });
  });

  describe("a directory", () => {
    it("that has a name like a URL or a repository is a directory", async () => {
      const here = process.cwd();
      makeDirectory("github.com/a/b", { Dockerfile: "FROM local\n" });
      process.chdir(root);
      try {
        assert.equal(textOf(await openContext({ context: "github.com/a/b" }, options)), "FROM local\n");
      } finally {
        process.chdir(here);
      }
    });

    it("may have its Dockerfile outside, but not by a link", async () => {
      const secret = makeDirectory("secret", { Dockerfile: "FROM secret\n", ".dockerignore": "x\n" });
      const context = makeDirectory("c", { Dockerfile: `->${secret}/Dockerfile` });
      assert.equal(
        textOf(await openContext({ context, dockerfilePath: join(secret, "Dockerfile") }, options)),
        "FROM secret\n",
      );
      await assert.rejects(openContext({ context }, options), {
        code: "context",
        message: `Cannot read "${context}/Dockerfile": it is a symlink that leads out of the build context`,
        hint: `If you trust it, name it with -f ${secret}/Dockerfile`,
      });
      const other = makeDirectory("o", {
        Dockerfile: "FROM a\n",
        ".dockerignore": "->../secret/.dockerignore",
      });
      await assert.rejects(
        openContext({ context: other }, options),
        /\.dockerignore": it is a symlink that leads out/,
      );
      const inside = makeDirectory("i", { Dockerfile: "->real/File", "real/File": "FROM i\n" });
      assert.equal(textOf(await openContext({ context: inside }, options)), "FROM i\n");
    });

    it("cannot keep the build waiting or fill memory with its Dockerfile", { timeout: 20_000 }, async () => {
      const context = makeDirectory("c", {});
      execFileSync("mkfifo", [join(context, "Dockerfile")]);
      await assert.rejects(openContext({ context }, options), /it is no regular file$/);
      await assert.rejects(openContext({ context, dockerfilePath: "/dev/zero" }, options), {
        code: "input-limit",
      });
    });

    it("that is not there is named", async () => {
      await assert.rejects(openContext({ context: join(root, "none") }, options), {
        code: "context",
        message: `Cannot use "${root}/none" as the build context: there is no such file or directory`,
      });
      await assert.rejects(openNamedContext(join(root, "none"), options), { code: "context" });
    });
  });
});
