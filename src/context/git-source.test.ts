import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type FileServer, serveFiles } from "../../test/serve-files.ts";
import { type GitServer, git, gitMissing, serveGit } from "../../test/serve-git.ts";
import { openStore, type Store } from "../store/open-store.ts";
import { openRemoteSources, type RemoteOptions, type RemoteSources } from "./remote-sources.ts";

describe("git sources", { skip: gitMissing }, () => {
  let root: string;
  let repository: string;
  let store: Store;
  let server: GitServer;
  let first: string;
  let second: string;

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), "slipway-git-"));
    repository = makeRepository("served/repo");
    write("a.txt", "one");
    write("sub/dir/b.txt", "two");
    first = commit("first");
    git(repository, "tag", "-a", "-m", "annotated", "v1");
    git(repository, "branch", "old");
    write("a.txt", "changed");
    second = commit("second");
    store = openStore(join(root, "store"));
    server = await serveGit(join(root, "served"));
  });
  afterEach(async () => {
    await server[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  const url = (more = "", name = "repo/.git") => `${server.url}/${name}${more}`;

  function makeRepository(path: string): string {
    const directory = join(root, path);
    mkdirSync(directory, { recursive: true });
    git(directory, "init", "--quiet");
    return directory;
  }

  function write(path: string, text: string, where = repository): void {
    mkdirSync(join(where, path, ".."), { recursive: true });
    writeFileSync(join(where, path), text);
  }

  function commit(message: string, where = repository): string {
    git(where, "add", "-A");
    git(where, "commit", "--quiet", "--allow-empty", "-m", message);
    return git(where, "rev-parse", "HEAD");
  }

  const open = (more: Partial<RemoteOptions> = {}): RemoteSources =>
    openRemoteSources({ store, secrets: new Map(), environment: process.env, ...more });
  const { signal } = new AbortController();

  async function checkOut(reference: string, more: Partial<RemoteOptions> = {}): Promise<string> {
    await using remotes = open(more);
    return (await remotes.findGit({ url: reference, signal })).checkOut();
  }

  it("finds the default branch, a branch, a tag (the commit it names) and a commit", async () => {
    await using remotes = open();
    const commitOf = async (more: string) => (await remotes.findGit({ url: url(more), signal })).commit;
    assert.equal(await commitOf(""), second);
    assert.equal(await commitOf("#main"), second);
    assert.equal(await commitOf("#refs/heads/old"), first);
    assert.equal(await commitOf("?branch=old"), first);
    assert.equal(await commitOf("#v1"), first);
    assert.equal(await commitOf("?tag=v1"), first);
    const asked = server.requests.length;
    assert.equal(await commitOf(`#${first}`), first);
    assert.equal(server.requests.length, asked, "a whole commit needs no answer");
  });

  it("prefers the branch where a tag has the same name", async () => {
    git(repository, "tag", "main", first);
    await using remotes = open();
    assert.equal((await remotes.findGit({ url: url("#main"), signal })).commit, second);
  });

  it("writes the files of a commit, with the modes that git knows and no .git", async () => {
    write("run.sh", "#!/bin/sh\n");
    chmodSync(join(repository, "run.sh"), 0o700);
    symlinkSync("/etc/passwd", join(repository, "link"));
    commit("modes");
    const umask = process.umask(0o077);
    try {
      const directory = await checkOut(url());
      assert.deepEqual(readdirSync(directory).sort(), ["a.txt", "link", "run.sh", "sub"]);
      assert.equal(readFileSync(join(directory, "a.txt"), "utf8"), "changed");
      assert.equal(lstatSync(join(directory, "a.txt")).mode & 0o7777, 0o644);
      assert.equal(lstatSync(join(directory, "run.sh")).mode & 0o7777, 0o755);
      assert.equal(lstatSync(join(directory, "sub")).mode & 0o7777, 0o755);
      assert.equal(lstatSync(directory).mode & 0o7777, 0o755);
      assert.equal(readlinkSync(join(directory, "link")), "/etc/passwd");
    } finally {
      process.umask(umask);
    }
  });

  it("writes a subdirectory as if it were the repository", async () => {
    assert.deepEqual(readdirSync(await checkOut(url("#main:sub"))), ["dir"]);
    assert.deepEqual(readdirSync(await checkOut(url("?subdir=/sub/dir/"))), ["b.txt"]);
    await assert.rejects(checkOut(url("#main:none")), {
      code: "fetch-failed",
      message: `Cannot use "none" of "${url()}": the repository has no such directory`,
    });
    await assert.rejects(checkOut(url("#main:a.txt")), /has no such directory/);
  });

  it("fetches no history, and nothing of what is here already", async () => {
    await checkOut(url(`#${second}`));
    const name = readdirSync(join(store.root, "git"))[0]!;
    assert.equal(git(join(store.root, "git", name), "rev-list", "--count", second), "1");
    const asked = server.requests.length;
    await checkOut(url(`#${second}`));
    assert.equal(server.requests.length, asked);
  });

  it("fetches from the simplest kind of server, which only has files", async () => {
    git(repository, "update-server-info");
    await using dumb: FileServer = await serveFiles(({ path }, response) => {
      const file = join(root, "served", path.split("?")[0]!);
      if (!existsSync(file)) response.writeHead(404).end();
      else response.end(readFileSync(file));
    });
    const directory = await checkOut(`${dumb.url}/repo/.git#old`);
    assert.equal(readFileSync(join(directory, "a.txt"), "utf8"), "one");
  });

  it("keeps .git when asked: one commit, the branch, the address, no hooks", async () => {
    const directory = await checkOut(url("?keep-git-dir=1&branch=main"));
    assert.equal(git(directory, "rev-parse", "HEAD"), second);
    assert.equal(git(directory, "rev-parse", "refs/heads/main"), second);
    assert.equal(git(directory, "status", "--porcelain"), "");
    assert.equal(git(directory, "remote", "get-url", "origin"), url());
    assert.equal(git(directory, "rev-list", "--count", "HEAD"), "1");
    assert.ok(!existsSync(join(directory, ".git/hooks")));
    assert.ok(!existsSync(join(directory, ".git/FETCH_HEAD")));
  });

  it("gives files the commit's time when asked", async () => {
    const directory = await checkOut(url("?mtime=commit"));
    for (const path of ["", "a.txt", "sub/dir/b.txt"]) {
      assert.equal(lstatSync(join(directory, path)).mtimeMs, Date.parse("2020-01-02T03:04:05Z"));
    }
  });

  it("verifies the checksum: the commit, its beginning, or the tag's own", async () => {
    await using remotes = open();
    const find = (more: string, checksum: string) => remotes.findGit({ url: url(more), checksum, signal });
    assert.equal((await find("#v1", first)).commit, first);
    assert.equal((await find("#v1", first.slice(0, 12))).commit, first);
    assert.equal((await find("#v1", git(repository, "rev-parse", "refs/tags/v1"))).commit, first);
    await assert.rejects(find("#v1", second), {
      code: "verification",
      message: `Cannot use "${url()}": expected checksum to match ${second}, got ${first}`,
    });
    await assert.rejects(find("#v1", "--upload-pack"), { code: "option-invalid" });
  });

  it("has an id that says what the files are", async () => {
    await using remotes = open();
    const idOf = async (more: string) => (await remotes.findGit({ url: url(more), signal })).id;
    assert.equal(await idOf("#old"), await idOf("#v1"));
    assert.equal(await idOf("#old"), await idOf(`#${first}`));
    const others = ["#main", "#old:sub", "?branch=old&keep-git-dir=1", "?branch=old&submodules=0"];
    const ids = await Promise.all(["#old", ...others].map(idOf));
    assert.equal(new Set(ids).size, ids.length);
  });

  it("says what is not there", async () => {
    await assert.rejects(checkOut(url("#none")), {
      code: "fetch-failed",
      message: `Cannot fetch "${url()}": the repository has no branch or tag "none"`,
    });
    await assert.rejects(checkOut(url(`#${first.slice(0, 8)}`)), {
      hint: "Give the whole commit, 40 hex digits",
    });
    await assert.rejects(checkOut(url(`#${"0".repeat(39)}1`)), /has no commit 0+1$/);
    await assert.rejects(checkOut(url("", "gone.git")), { code: "fetch-failed", message: /not found/ });
    await assert.rejects(checkOut("http://127.0.0.1:9/a.git"), {
      code: "fetch-failed",
      message: /127\.0\.0\.1/,
    });
  });

  it("sends a token or header, to this host and no other, and never as an argument", async () => {
    await using other = await serveGit(join(root, "served"));
    await using guarded = await serveGit(join(root, "served"), ({ path, authorization }) => {
      if (path.startsWith("/moved")) return { status: 301, location: `${other.url}/repo${path.slice(6)}` };
      return authorization === undefined ? { status: 401 } : undefined;
    });
    const secrets = (name: string, value: string) => ({ secrets: new Map([[name, Buffer.from(value)]]) });
    const address = `${guarded.url}/repo/.git`;
    await assert.rejects(checkOut(address), {
      code: "fetch-failed",
      hint: `Give it a token with --secret id=GIT_AUTH_TOKEN.${guarded.host},env=NAME`,
    });
    await checkOut(address, secrets("GIT_AUTH_TOKEN", "t0k"));
    const basic = `Basic ${Buffer.from("x-access-token:t0k").toString("base64")}`;
    assert.equal(guarded.requests.at(-1)!.authorization, basic);
    await checkOut(`${address}#old`, secrets(`GIT_AUTH_HEADER.${guarded.host}`, "Bearer x"));
    assert.equal(guarded.requests.at(-1)!.authorization, "Bearer x");
    await checkOut(address.replace("http://", "http://me:pw@"));
    await assert.rejects(checkOut(`${guarded.url}/moved/.git`, secrets("GIT_AUTH_TOKEN", "t0k")), {
      hint: "The server redirects, and credentials are not sent elsewhere: name the repository's own address",
    });
    assert.deepEqual(other.requests, []);
  });

  it("never shows a password from a URL", async () => {
    await assert.rejects(checkOut(`http://me:hunter2@${server.host}/gone.git`), (error: Error) => {
      assert.doesNotMatch(`${error.message} ${error.stack} ${String(error.cause)}`, /hunter2/);
      return true;
    });
    const directory = await checkOut(`http://me:hunter2@${server.host}/repo/.git?keep-git-dir=1`);
    assert.doesNotMatch(readFileSync(join(directory, ".git/config"), "utf8"), /hunter2/);
  });

  it("logs in with ssh as it was told, and trusts a host whose key it has seen", async () => {
    const bin = join(root, "bin");
    mkdirSync(bin);
    // Stands for ssh: notes how it is called and runs what the server would run.
    const script = `#!/bin/sh
printf '%s\\n' "$@" "$SSH_AUTH_SOCK" > ${root}/ssh-arguments
for last; do :; done
exec sh -c "$(printf '%s' "$last" | sed "s#'/#'${root}/served/#")"
`;
    writeFileSync(join(bin, "ssh"), script, { mode: 0o755 });
    const environment = { ...process.env, PATH: `${bin}:${process.env.PATH}`, SSH_AUTH_SOCK: "/users/agent" };
    const read = () => readFileSync(join(root, "ssh-arguments"), "utf8");
    const directory = await checkOut("ssh://git@host.example/repo/.git", { environment });
    assert.equal(readFileSync(join(directory, "a.txt"), "utf8"), "changed");
    assert.match(read(), /StrictHostKeyChecking=accept-new\n/);
    assert.match(read(), /IdentityAgent=none\n/);
    assert.doesNotMatch(read(), /users\/agent/);
    const ssh = { kind: "socket", path: "/given/agent" } as const;
    await checkOut("git@host.example:/repo/.git#old", { environment, ssh });
    assert.match(read(), /\n\/given\/agent\n$/);
    assert.match(read(), new RegExp(`UserKnownHostsFile="${join(store.root, "git/known_hosts")}"`));
  });

  it("stops when it is told to", async () => {
    const stop = new AbortController();
    await using silent = await serveFiles(() => stop.abort(new Error("enough")));
    await using remotes = open();
    const finding = remotes.findGit({ url: `${silent.url}/a.git`, signal: stop.signal });
    await assert.rejects(finding, /^Error: enough$/);
  });

  describe("with submodules", () => {
    function addSubmodule(settings: string, path = "module", hash = first): void {
      writeFileSync(join(repository, ".gitmodules"), settings);
      git(repository, "add", ".gitmodules");
      git(repository, "update-index", "--add", "--cacheinfo", `160000,${hash},${path}`);
      git(repository, "commit", "--quiet", "-m", "submodule");
    }
    const section = (address: string, path = "module", more = "") =>
      `[submodule "m"]\n\tpath = ${path}\n\turl = ${address}\n${more}`;

    it("checks them out, also those of submodules, by relative addresses", async () => {
      const inner = makeRepository("served/inner");
      write("inner.txt", "inner", inner);
      const innerCommit = commit("inner", inner);
      const middle = makeRepository("served/middle");
      writeFileSync(join(middle, ".gitmodules"), section("../../inner/.git", "deep/in"));
      git(middle, "add", ".gitmodules");
      git(middle, "update-index", "--add", "--cacheinfo", `160000,${innerCommit},deep/in`);
      git(middle, "commit", "--quiet", "-m", "middle");
      addSubmodule(section("../../middle/.git"), "module", git(middle, "rev-parse", "HEAD"));
      const directory = await checkOut(url());
      assert.equal(readFileSync(join(directory, "module/deep/in/inner.txt"), "utf8"), "inner");
      assert.deepEqual(readdirSync(join(directory, "module")).sort(), [".gitmodules", "deep"]);
      assert.deepEqual(readdirSync(join(await checkOut(url("?submodules=0")), "module")), []);
    });

    it("checks out those below a subdirectory", async () => {
      addSubmodule(section(url(), "sub/module"), "sub/module");
      const directory = await checkOut(url("?subdir=sub"));
      assert.equal(readFileSync(join(directory, "module/a.txt"), "utf8"), "one");
    });

    it("refuses addresses that run a command, read this machine or look like options", async () => {
      const evil = [
        "ext::sh -c touch% /tmp/pwned",
        `file://${repository}`,
        repository,
        "-u./payload",
        "ssh://-oProxyCommand=touch/x",
        "git@-oProxyCommand=x:y",
      ];
      for (const address of evil) {
        addSubmodule(section(JSON.stringify(address)));
        await assert.rejects(checkOut(url()), { code: "option-invalid" }, address);
      }
    });

    it("runs no update command and leaves out what is not to be updated", async () => {
      const flag = join(root, "ran");
      addSubmodule(section(url(), "module", `\tupdate = !touch ${flag}\n`));
      assert.equal(readFileSync(join(await checkOut(url()), "module/a.txt"), "utf8"), "one");
      assert.ok(!existsSync(flag));
      addSubmodule(section(url(), "module", "\tupdate = none\n"));
      assert.deepEqual(readdirSync(join(await checkOut(url()), "module")), []);
    });

    it("gives a submodule elsewhere no secret but its own", async () => {
      await using other = await serveGit(join(root, "served"));
      addSubmodule(section(`${other.url}/repo/.git`));
      const secrets = new Map([["GIT_AUTH_TOKEN", Buffer.from("t")]]);
      await checkOut(url(), { secrets });
      assert.ok(server.requests.some(({ authorization }) => authorization !== undefined));
      assert.ok(other.requests.length > 0);
      assert.ok(other.requests.every(({ authorization }) => authorization === undefined));
    });
  });

  it("runs nothing that the repository brings: hooks, filters, settings", async () => {
    const flag = join(root, "ran");
    write(".gitattributes", "*.txt filter=evil diff=evil merge=evil\n");
    write(".git-hooks/post-checkout", `#!/bin/sh\ntouch ${flag}\n`);
    write(".gitconfig", `[filter "evil"]\n\tsmudge = touch ${flag}\n[core]\n\tfsmonitor = touch ${flag}\n`);
    commit("evil");
    for (const name of ["post-checkout", "post-merge", "pre-auto-gc", "reference-transaction"]) {
      writeFileSync(join(repository, ".git/hooks", name), `#!/bin/sh\ntouch ${flag}\n`, { mode: 0o755 });
    }
    await checkOut(url());
    await checkOut(url("?keep-git-dir=1"));
    assert.ok(!existsSync(flag));
  });

  it("takes no name for an option", async () => {
    const flag = join(root, "ran");
    for (const more of [
      `#--upload-pack=touch ${flag}`,
      "#-x",
      "#a..b",
      "#a b",
      "#a^{/x}",
      "#+main",
      "?ref=-x",
    ]) {
      await assert.rejects(checkOut(url(more)), { code: "option-invalid" }, more);
    }
    for (const more of ["#main:../x", "#main:sub/../../x", "?subdir=.."]) {
      await assert.rejects(
        checkOut(url(more)),
        { code: "option-invalid", message: /leads out of the repository/ },
        more,
      );
    }
    await assert.rejects(checkOut(`ssh://-oProxyCommand=touch${flag}/a.git`), { code: "option-invalid" });
    assert.ok(!existsSync(flag));
  });
});
