import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench } from "../build-bench.ts";
import { makeCertificates, opensslMissing } from "../make-certificates.ts";
import { serveFiles } from "../serve-files.ts";
import { git, gitMissing, serveGit } from "../serve-git.ts";

describe("files from elsewhere", () => {
  let bench: BuildBench;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());

  /** What an image holds, as `tar -tv` lists it: mode, owner, time and path. */
  async function listImage(name: string): Promise<string> {
    const path = join(bench.directory, `${name}.tar`);
    const { code, stderr } = await bench.run(["save", "-o", path, name]);
    assert.equal(code, 0, stderr);
    const directory = join(bench.directory, `${name}-saved`);
    mkdirSync(directory);
    execFileSync("tar", ["-xf", path, "-C", directory]);
    const [image] = JSON.parse(readFileSync(join(directory, "manifest.json"), "utf8"));
    return image.Layers.map((layer: string) =>
      execFileSync("tar", ["--utc", "--numeric-owner", "-tvf", join(directory, layer)], { encoding: "utf8" }),
    ).join("");
  }

  it("one ADD of a local archive and of a URL unpacks only the local one; --unpack decides for both", async () => {
    const directory = join(bench.directory, "archives");
    mkdirSync(directory);
    writeFileSync(join(directory, "member"), "");
    execFileSync("tar", ["-C", directory, "-cf", join(directory, "there.tar"), "member"]);
    const bytes = readFileSync(join(directory, "there.tar"));
    await using server = await serveFiles((_, response) => response.end(bytes));
    for (const [flag, expected] of [
      ["", "member there.tar"],
      ["--unpack=true", "member"],
      ["--unpack=false", "here.tar there.tar"],
    ] as const) {
      const context = bench.context({
        Dockerfile: `FROM scratch\nADD ${flag} here.tar ${server.url}/there.tar /d/\n`,
      });
      writeFileSync(join(context, "here.tar"), bytes);
      const { code, stderr } = await bench.run(["build", "-t", "mixed", context]);
      assert.equal(code, 0, stderr);
      const listed = await bench.run(["ls", "mixed:/d"]);
      assert.equal(listed.stdout.trim().split("\n").join(" "), expected, flag);
    }
  });

  it("ADD of a URL: name from its path, 0600, time of Last-Modified; a rebuild asks and does not download", async () => {
    let sent = 0;
    await using server = await serveFiles(({ headers, path }, response) => {
      if (path.startsWith("/moved/")) return response.writeHead(302, { location: "/real/other" }).end();
      response.setHeader("etag", '"1"');
      response.setHeader("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT");
      response.setHeader("content-disposition", "attachment; filename=evil");
      if (headers["if-none-match"] === '"1"') return response.writeHead(304).end();
      sent++;
      return response.end("downloaded\n");
    });
    const dockerfile = `FROM scratch\nADD ${server.url}/moved/data.bin?x=1 /dir/\n`;
    const first = await bench.build(dockerfile, { args: ["-t", "url"] });
    assert.equal(first.code, 0, first.stderr);
    assert.match(await listImage("url"), /^-rw------- 0\/0 +11 2015-10-21 07:28 dir\/data\.bin$/m);
    const again = await bench.build(dockerfile);
    assert.match(again.stderr, /CACHED/);
    assert.equal(sent, 1);
  });

  it("ADD --checksum asks nobody when the result is in the cache", async () => {
    const checksum = "sha256:30031a9831674dd684c3817399acebc88a116ce5a7a3fbc0cf34d92521a534e6";
    let dockerfile = "";
    {
      await using server = await serveFiles((_, response) => response.end("downloaded\n"));
      dockerfile = `FROM scratch\nADD --checksum=${checksum} ${server.url}/f /f\n`;
      assert.equal((await bench.build(dockerfile)).code, 0);
      const wrong = dockerfile.replace("sha256:3003", "sha256:4003");
      const { code, stderr } = await bench.build(wrong);
      assert.equal(code, 1);
      assert.match(stderr, /digest mismatch[\s\S]*> 2 │ ADD --checksum/);
    }
    const offline = await bench.build(dockerfile);
    assert.equal(offline.code, 0, offline.stderr);
  });

  it("secrets reach the server and no image, and are asked for by name when they are missing", async () => {
    await using server = await serveFiles(({ headers }, response) => {
      if (headers.authorization === "Bearer t0psecret") response.end("private\n");
      else response.writeHead(401).end();
    });
    const dockerfile = `FROM scratch\nADD ${server.url}/f /f\n`;
    const refused = await bench.build(dockerfile);
    assert.match(refused.stderr, /401 Unauthorized[\s\S]*--secret id=HTTP_AUTH_TOKEN\.127/);
    const file = join(bench.directory, "token");
    writeFileSync(file, "t0psecret\n");
    const args = ["--secret", `id=HTTP_AUTH_TOKEN.${server.host},src=${file}`, "-t", "private"];
    const built = await bench.build(dockerfile, { args });
    assert.equal(built.code, 0, built.stderr);
    await listImage("private");
    const saved = execFileSync("tar", ["-xOf", join(bench.directory, "private.tar")], { encoding: "latin1" });
    assert.doesNotMatch(saved + built.stderr, /t0psecret/);
  });

  it("ADD of a git repository: its files, 0:0, and nothing is fetched for a cached commit", {
    skip: gitMissing,
  }, async () => {
    const repository = join(bench.directory, "served/repo");
    mkdirSync(repository, { recursive: true });
    git(repository, "init", "--quiet");
    writeFileSync(join(repository, "run.sh"), "#!/bin/sh\n", { mode: 0o755 });
    git(repository, "add", "-A");
    git(repository, "commit", "--quiet", "-m", "one");
    const commit = git(repository, "rev-parse", "HEAD");
    await using server = await serveGit(join(bench.directory, "served"));
    const dockerfile = `FROM scratch\nADD ${server.url}/repo/.git?branch=main /src\n`;
    const built = await bench.build(dockerfile, { args: ["-t", "git"] });
    assert.equal(built.code, 0, built.stderr);
    const list = await listImage("git");
    assert.match(list, /^-rwxr-xr-x 0\/0 .* src\/run\.sh$/m);
    assert.doesNotMatch(list, /\.git/);
    const asked = server.requests.length;
    const pinned = dockerfile.replace("?branch=main", `#${commit}`);
    assert.match((await bench.build(pinned)).stderr, /CACHED/);
    assert.equal(server.requests.length, asked);
    const checked = pinned.replace("ADD ", `ADD --checksum=${"0".repeat(40)} `);
    assert.match((await bench.build(checked)).stderr, /expected checksum to match 0+, got [0-9a-f]{40}/);
  });

  it("ADD from a server whose authority this machine does not know asks for it by name", {
    skip: opensslMissing,
  }, async () => {
    await using certificates = await makeCertificates();
    const { certificatePath, keyPath } = certificates.server;
    const keys = { cert: readFileSync(certificatePath), key: readFileSync(keyPath) };
    const server = createServer(keys, (_, response) => response.end("x"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/file`;
      const context = bench.context({ Dockerfile: `FROM scratch\nADD ${url} /\n` });
      const unknown = await bench.run(["build", context]);
      assert.equal(unknown.code, 1);
      assert.match(unknown.stderr, /the certificate of 127\.0\.0\.1:\d+ is not trusted/);
      assert.match(unknown.stderr, /^Hint: .*NODE_EXTRA_CA_CERTS/m);
      const env = { NODE_EXTRA_CA_CERTS: certificates.authority };
      const known = await bench.run(["build", context], { env });
      assert.equal(known.code, 0, known.stderr);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  it("a tar on stdin and a Dockerfile on stdin are contexts", async () => {
    const directory = bench.context({ Dockerfile: "FROM scratch\nCOPY a /\n", a: "x" });
    const stdin = execFileSync("tar", ["-czC", directory, "--owner=7", "--group=7", "."]);
    const built = await bench.run(["build", "-t", "stdin", "-"], { input: stdin });
    assert.equal(built.code, 0, built.stderr);
    assert.match(await listImage("stdin"), /^-rw-r--r-- 0\/0 .* a$/m);
    const wrong = await bench.run(["build", "-"], { input: Buffer.from("FROM scratch\nCOPPY a /\n") });
    assert.match(wrong.stderr, /2 │ COPPY a/);
  });
});
