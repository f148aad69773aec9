import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench } from "../build-bench.ts";
import { type GitServer, git, gitMissing, serveGit } from "../serve-git.ts";
import { type Canary, placeCanary } from "./canary.ts";

describe("a git repository that is made to harm whoever builds from it", { skip: gitMissing }, () => {
  let bench: BuildBench;
  let server: GitServer;
  let canary: Canary;
  let flag: string;
  before(async () => {
    bench = await openBuildBench();
    mkdirSync(join(bench.directory, "served"));
    server = await serveGit(join(bench.directory, "served"));
    canary = placeCanary(join(bench.directory, "outside"));
    flag = join(bench.directory, "ran");
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    bench[Symbol.dispose]();
  });

  let count = 0;
  /** A repository with one file, served under the name that is returned. */
  function makeRepository(): { readonly name: string; readonly directory: string } {
    const name = `repo-${count++}`;
    const directory = join(bench.directory, "served", name);
    mkdirSync(directory);
    git(directory, "init", "--quiet");
    writeFileSync(join(directory, "file"), "text");
    commit(directory);
    return { name, directory };
  }

  function commit(directory: string): void {
    git(directory, "add", "-A");
    git(directory, "commit", "--quiet", "-m", "one");
  }

  function addSubmodule(directory: string, settings: string, path: string): void {
    writeFileSync(join(directory, ".gitmodules"), settings);
    git(directory, "add", ".gitmodules");
    const hash = git(directory, "rev-parse", "HEAD");
    git(directory, "update-index", "--add", "--cacheinfo", `160000,${hash},${path}`);
    git(directory, "commit", "--quiet", "-m", "submodule");
  }

  /** A tree that git itself would not make: mode, name and object of each entry. */
  function writeTree(directory: string, entries: readonly (readonly [string, string, string])[]): string {
    const parts = entries.flatMap(([mode, name, hash]) => [
      Buffer.from(`${mode} ${name}\0`),
      Buffer.from(hash, "hex"),
    ]);
    const path = join(bench.directory, "tree");
    writeFileSync(path, Buffer.concat(parts));
    return git(directory, "hash-object", "-w", "-t", "tree", "--literally", path);
  }

  /** ADD of a reference; what arrived lies in the directory that is returned. Nothing of the repository has run. */
  async function add(reference: string, args: readonly string[] = []) {
    const output = join(bench.directory, `out-${count++}`);
    const context = bench.context({
      Dockerfile: `FROM scratch\nADD ${JSON.stringify([reference, "/in/"])}\n`,
    });
    const { code, stderr } = await bench.run([...args, "build", "-o", output, context]);
    assert.ok(!existsSync(flag), "something of the repository has run");
    canary.assertUntouched(reference);
    if (code === 0) canary.assertNotIn(output, reference);
    else assert.match(stderr, /^Error: Cannot /m);
    return { code, stderr, output };
  }

  const url = (name: string, more = "") => `${server.url}/${name}/.git${more}`;

  it("CVE-2019-13139: a branch that is an option", async () => {
    const { name } = makeRepository();
    const { code, stderr } = await add(url(name, `#--upload-pack=touch ${flag};:`));
    assert.equal(code, 1);
    assert.match(stderr, /--upload-pack/);
  });

  it("CVE-2025-21613, CVE-2017-1000117: an address that is an option, or a host that is one", async () => {
    for (const address of [`ssh://-oProxyCommand=touch${flag}/a.git`, `--upload-pack=touch ${flag}#a.git`]) {
      assert.equal((await add(address)).code, 1, address);
    }
  });

  it("CVE-2026-33748: a subdirectory that is a symlink out of the repository", async () => {
    const { name, directory } = makeRepository();
    symlinkSync(canary.directory, join(directory, "sub"));
    mkdirSync(join(directory, "real"));
    symlinkSync(`../../../../../..${canary.directory}`, join(directory, "real/up"));
    writeFileSync(join(directory, "real/file"), "");
    commit(directory);
    for (const subdirectory of ["sub", "real/up", "sub/", "real/../sub", "../outside"]) {
      assert.equal((await add(url(name, `#main:${subdirectory}`))).code, 1, subdirectory);
    }
    assert.equal((await add(url(name, "#main:real"))).code, 0);
  });

  it("CVE-2018-17456: a submodule whose address is an option", async () => {
    const { name, directory } = makeRepository();
    addSubmodule(directory, `[submodule "m"]\n\tpath = m\n\turl = --upload-pack=touch ${flag}\n`, "m");
    assert.equal((await add(url(name))).code, 1);
  });

  it("CVE-2018-11235, CVE-2019-1387: a submodule whose name leads to hooks", async () => {
    const { name, directory } = makeRepository();
    mkdirSync(join(directory, "evil/hooks"), { recursive: true });
    writeFileSync(join(directory, "evil/hooks/post-checkout"), `#!/bin/sh\ntouch ${flag}\n`, { mode: 0o755 });
    writeFileSync(join(directory, "evil/config"), `[core]\n\tfsmonitor = touch ${flag}\n\tbare = false\n`);
    writeFileSync(join(directory, "evil/HEAD"), "ref: refs/heads/main\n");
    commit(directory);
    addSubmodule(directory, `[submodule "../../evil"]\n\tpath = m\n\turl = ${url(name)}\n`, "m");
    const { code, output } = await add(url(name));
    assert.equal(code, 0);
    assert.ok(existsSync(join(output, "in/m/file")));
  });

  it("CVE-2024-32002, CVE-2026-44471: a submodule in a directory that is a symlink, too", async () => {
    const { name, directory } = makeRepository();
    symlinkSync(canary.directory, join(directory, "link"));
    writeFileSync(join(directory, ".gitmodules"), `[submodule "m"]\n\tpath = link/m\n\turl = ${url(name)}\n`);
    commit(directory);
    const [link, settings] = ["link", ".gitmodules"].map((path) =>
      git(directory, "rev-parse", `HEAD:${path}`),
    );
    const inner = writeTree(directory, [["160000", "m", git(directory, "rev-parse", "HEAD")]]);
    const tree = writeTree(directory, [
      ["100644", ".gitmodules", settings!],
      ["120000", "link", link!],
      ["40000", "link", inner],
    ]);
    git(directory, "update-ref", "refs/heads/evil", git(directory, "commit-tree", "-m", "evil", tree));
    const { code, output } = await add(url(name, "#evil"));
    // A tree with two entries of one name: git writes one of them, and nothing goes through the link if that is the one.
    if (code === 0) assert.ok(lstatSync(join(output, "in/link")).isDirectory());
  });

  it("CVE-2025-48384: a submodule whose path ends in a carriage return", async () => {
    const { name, directory } = makeRepository();
    symlinkSync(canary.directory, join(directory, "m"));
    commit(directory);
    addSubmodule(directory, `[submodule "m"]\n\tpath = "m\\r"\n\turl = ${url(name)}\n`, "m\r");
    await add(url(name));
  });

  it("CVE-2022-39253, GHSA-hw3h-2gp9-cxpv: a submodule that is a directory or a bundle of this machine", async () => {
    const { directory } = makeRepository();
    git(directory, "bundle", "create", "--quiet", join(bench.directory, "a.bundle"), "HEAD");
    for (const address of [
      directory,
      `file://${directory}`,
      join(bench.directory, "a.bundle"),
      `ext::touch ${flag}`,
    ]) {
      const other = makeRepository();
      addSubmodule(other.directory, `[submodule "m"]\n\tpath = m\n\turl = ${address}\n`, "m");
      assert.equal((await add(url(other.name))).code, 1, address);
    }
    assert.equal((await add(`file://${directory}/.git`)).code, 1);
  });

  it("a repository that is larger than was granted, as a pack, as files, or in their number", async () => {
    const { name, directory } = makeRepository();
    const limited = async (limit: string, message: RegExp) => {
      const { code, stderr } = await add(url(name), ["--limit", limit]);
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.match(stderr, new RegExp(`Hint: .*--limit ${limit.split("=")[0]}=`));
    };
    writeFileSync(join(directory, "random"), randomBytes(300_000));
    commit(directory);
    await limited("download-size=100k", /Cannot fetch ".*": it is larger than the limit of 102400 bytes/);
    writeFileSync(join(directory, "zeroes"), Buffer.alloc(5_000_000));
    commit(directory);
    await limited("context-size=2m", /Cannot check out ".*": its files are larger than the limit of 2 MiB/);
    // Ten names for a file, ten for that, and so on: a million files in seven objects.
    let [mode, hash] = ["100644", git(directory, "rev-parse", "HEAD:file")];
    for (let depth = 0; depth < 6; depth++) {
      hash = writeTree(
        directory,
        Array.from({ length: 10 }, (_, number) => [mode, `n${number}`, hash] as const),
      );
      mode = "40000";
    }
    git(directory, "update-ref", "refs/heads/main", git(directory, "commit-tree", "-m", "bomb", hash));
    await limited("archive-entries=400000", /it has more files than the limit of 400000/);
  });

  it("CVE-2023-49569: files of a tree that are called .. or .git", async () => {
    const { name, directory } = makeRepository();
    const blob = git(directory, "rev-parse", "HEAD:file");
    for (const entry of ["..", ".git", "../outside"]) {
      const tree = writeTree(directory, [["100755", entry, blob]]);
      git(directory, "update-ref", "refs/heads/evil", git(directory, "commit-tree", "-m", "evil", tree));
      assert.equal((await add(url(name, "#evil"))).code, 1, entry);
    }
  });

  it("CVE-2023-26054: a password in the address of a context is in no provenance, no image and no output", async () => {
    const { name, directory } = makeRepository();
    writeFileSync(join(directory, "Dockerfile"), "FROM scratch\nCOPY file /\n");
    commit(directory);
    const [layout, metadata] = ["layout", "metadata"].map((part) => join(bench.directory, part)) as [
      string,
      string,
    ];
    const { code, stdout, stderr } = await bench.run([
      ...["build", "--progress=plain", "--provenance=mode=max", "--metadata-file", metadata],
      ...["-o", `type=oci,tar=false,dest=${layout}`],
      `${server.url.replace("//", "//me:hunter2@")}/${name}/.git`,
    ]);
    assert.equal(code, 0, stderr);
    const files = readdirSync(layout, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"));
    const told = [...files, readFileSync(metadata, "latin1"), stdout, stderr];
    assert.ok(
      told.some((text) => text.includes("slsa.dev/provenance")),
      "no provenance was written",
    );
    for (const text of told) assert.ok(!text.includes("hunter2"), text);
  });
});
