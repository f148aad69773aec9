import assert from "node:assert/strict";
import { chownSync, cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench } from "../build-bench.ts";
import { type GitServer, git, gitMissing, serveGit } from "../serve-git.ts";
import { validateImageLayout } from "../validate-image.ts";

/** That of the commits that `git` makes. */
const COMMITTED = "2020-01-02T03:04:05Z";

describe("SOURCE_DATE_EPOCH", () => {
  let bench: BuildBench;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());

  async function createdBy(
    context: string,
    args: readonly string[] = [],
  ): Promise<{ created: string; label?: string; stderr: string }> {
    const dest = join(bench.directory, "image.tar");
    const { code, stderr } = await bench.run([
      "build",
      "--progress=plain",
      ...args,
      "-o",
      `type=oci,dest=${dest}`,
      context,
    ]);
    assert.equal(code, 0, stderr);
    const [image] = await validateImageLayout(dest);
    return { created: image!.config.created, label: image!.config.config.Labels?.epoch, stderr };
  }

  describe("of git", { skip: gitMissing }, () => {
    let server: GitServer;
    before(async () => {
      const root = join(bench.directory, "git");
      mkdirSync(join(root, "app.git"), { recursive: true });
      git(join(root, "app.git"), "init", "-q");
      writeFileSync(
        join(root, "app.git/Dockerfile"),
        "ARG SOURCE_DATE_EPOCH\nFROM scratch\nARG SOURCE_DATE_EPOCH\nLABEL epoch=$SOURCE_DATE_EPOCH\nCOPY Dockerfile /\n",
      );
      git(join(root, "app.git"), "add", ".");
      git(join(root, "app.git"), "commit", "-qm", "one");
      server = await serveGit(root);
    });
    after(() => server[Symbol.asyncDispose]());

    it("is the time of the context's commit, or of that of a stage", async () => {
      const url = `${server.url}/app.git`;
      const { created, label } = await createdBy(url, ["--build-arg", "SOURCE_DATE_EPOCH=context"]);
      assert.equal(created, COMMITTED);
      // The ARG has the number.
      assert.equal(label, String(Date.parse(COMMITTED) / 1000));
      const dockerfile = `ARG SOURCE_DATE_EPOCH=source\nFROM scratch AS source\nADD ${url} /\nFROM scratch\nCOPY Dockerfile /\n`;
      assert.equal((await createdBy(bench.context({ Dockerfile: dockerfile }))).created, COMMITTED);
    });

    it("is the time of the commit that a directory is a checkout of, whose settings run nothing", async () => {
      const checkout = join(bench.directory, "checkout");
      git(bench.directory, "clone", "-q", join(bench.directory, "git/app.git"), checkout);
      const trap = join(bench.directory, "trap");
      writeFileSync(trap, `#!/bin/sh\ntouch ${bench.directory}/ran\n`, { mode: 0o755 });
      for (const name of ["core.fsmonitor", "core.sshCommand", "core.pager", "diff.external", "gpg.program"])
        git(checkout, "config", name, trap);
      git(checkout, "config", "log.showSignature", "true");
      // Of somebody else: git itself would not read it.
      chownSync(join(checkout, ".git"), 1234, 1234);
      mkdirSync(join(checkout, "part"));
      cpSync(join(checkout, "Dockerfile"), join(checkout, "part/Dockerfile"));
      for (const context of [checkout, join(checkout, "part")]) {
        const { created, label } = await createdBy(context, ["--build-arg", "SOURCE_DATE_EPOCH=context"]);
        assert.deepEqual([created, label], [COMMITTED, String(Date.parse(COMMITTED) / 1000)]);
      }
      assert.ok(!existsSync(join(bench.directory, "ran")));
    });
  });

  it("is the Last-Modified of a download, and nothing for a directory that is no checkout, which is said", async () => {
    const server = createServer((_, response) => {
      response.setHeader("last-modified", "Thu, 02 Jan 2020 03:04:05 GMT");
      response.end("content");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`;
      const dockerfile = `FROM scratch AS source\nADD ${url} /\nFROM scratch\nCOPY Dockerfile /\n`;
      const context = bench.context({ Dockerfile: dockerfile });
      assert.equal(
        (await createdBy(context, ["--build-arg", "SOURCE_DATE_EPOCH=source"])).created,
        COMMITTED,
      );
      const { created, stderr } = await createdBy(context, ["--build-arg", "SOURCE_DATE_EPOCH=context"]);
      assert.ok(Date.parse(created) > Date.parse(COMMITTED));
      assert.match(stderr, /the context "context" has no time of its own/);
    } finally {
      server.close();
    }
  });
});
