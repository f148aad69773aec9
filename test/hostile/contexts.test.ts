import assert from "node:assert/strict";
import { statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { makeTar } from "../make-layers.ts";
import { serveFiles } from "../serve-files.ts";
import { type Canary, placeCanary } from "./canary.ts";

describe("a context or a Dockerfile that reaches for the host", () => {
  let bench: BuildBench;
  let canary: Canary;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());
  beforeEach(() => {
    canary = placeCanary(join(bench.directory, "outside"));
  });

  let count = 0;

  /** Builds; whatever comes out has nothing of the host, and the host is as it was. */
  async function build(context: string, args: readonly string[] = [], input?: Uint8Array) {
    const output = join(bench.directory, `out-${count++}`);
    const { code, stderr } = await bench.run(["build", "--no-cache", "-o", output, ...args, context], {
      input,
    });
    canary.assertUntouched(context);
    if (code === 0) canary.assertNotIn(output, context);
    return { code, stderr: stderr.replaceAll(/^#\d+ [\d.]+ /gm, ""), output };
  }

  it("a Dockerfile that is a symlink out of the context", async () => {
    const context = bench.context({ "a/b": "" });
    symlinkSync(canary.file, join(context, "Dockerfile"));
    symlinkSync(canary.directory, join(context, "dir"));
    for (const args of [[], ["-f", join(context, "Dockerfile")], ["-f", join(context, "dir/secret")]]) {
      const { code, stderr } = await build(context, args);
      assert.equal(code, 1);
      assert.match(stderr, /it is a symlink that leads out of the build context/);
    }
  });

  it("a .dockerignore that is a symlink out of the context", async () => {
    for (const name of [".dockerignore", "Dockerfile.dockerignore"]) {
      const context = bench.context({ Dockerfile: "FROM scratch\nCOPY . /\n" });
      symlinkSync(canary.file, join(context, name));
      const { code, stderr } = await build(context);
      assert.equal(code, 1);
      assert.match(stderr, /it is a symlink that leads out of the build context/);
    }
  });

  it("CVE-2020-10696: a tar from a server, with a Dockerfile and an ignore file that are symlinks", async () => {
    const link = (name: string, linkName: string) =>
      ({ name, linkName, type: "symlink", mode: 0o777 }) as const;
    const copied = { name: "real", content: "FROM scratch\nCOPY . /all/\nCOPY l/secret* /one/\n" };
    const tars = [
      [link("Dockerfile", canary.file), copied],
      [link(".dockerignore", canary.file), { ...copied, name: "Dockerfile" }, link("l", canary.directory)],
      [{ ...copied, name: "Dockerfile" }, link("all", canary.directory), { name: `../../${canary.file}` }],
    ].map((members) => makeTar(members));
    await using server = await serveFiles(({ path }, response) => response.end(tars[Number(path.slice(1))]));
    for (const number of tars.keys()) await build(`${server.url}/${number}`);
    assert.equal((await build(`${server.url}/0`)).code, 1);
  });

  it("COPY and ADD through symlinks of the context, and above it", async () => {
    const sources = ["l", "f", "../outside/secret", "l/*"];
    for (const source of sources) {
      const context = bench.context({
        Dockerfile: `FROM scratch\nCOPY ${source} /x/\nADD ${source} /y/\n`,
        "d/e": "",
      });
      symlinkSync(canary.directory, join(context, "l"));
      symlinkSync(canary.file, join(context, "f"));
      await build(context);
    }
  });

  it("CVE-2021-41091: nobody else gets at what is unpacked in the store", () => {
    for (const name of ["layers", "blobs", "tmp"]) {
      assert.equal(statSync(join(bench.root, name)).mode & 0o077, 0, name);
    }
  });

  it("setuid, setgid and capabilities of an ADDed archive stay in the image", async () => {
    const members = [
      { name: "tool", mode: 0o6755, uid: 0, content: "x" },
      { name: "caps", xattrs: { "security.capability": Buffer.alloc(20) }, content: "x" },
    ];
    const context = bench.context({ Dockerfile: "FROM scratch\nADD a.tar /in/\n" });
    writeFileSync(join(context, "a.tar"), makeTar(members));
    assert.equal((await bench.run(["build", "-t", "setuid", context])).code, 0);
    const { stdout } = await bench.run(["ls", "-l", "setuid:/in"]);
    assert.match(stdout, /^-rwsr-sr-x .*tool$/m);
    assert.equal(statSync(bench.root).mode & 0o022, 0);
  });

  describe("in a RUN,", { skip: runMissing }, () => {
    it("CVE-2024-1753: a bind mount whose source is a symlink", async () => {
      const { code, stderr } = await build(
        bench.context({
          Dockerfile: `FROM busybox AS evil
RUN ln -s / /root-link && ln -s ${canary.directory} /canary && ln -s ../../../../..${canary.file} /up
FROM busybox
RUN --mount=type=bind,from=evil,source=/root-link,target=/m,rw ls /m && touch /m/mine && ! ls /m${canary.directory}
RUN --mount=type=bind,from=evil,source=/canary,target=/m,rw touch /m/x
`,
        }),
      );
      assert.equal(code, 1);
      assert.match(stderr, /"\/canary": it is not there/);
      assert.match(stderr, /^root-link$/m);
    });

    it("CVE-2024-9675, CVE-2024-11218, CVE-2024-23651: cache mounts whose id or source is a path", async () => {
      const id = `../../../../../..${canary.directory}`;
      const { code, stderr } = await build(
        bench.context({
          Dockerfile: `FROM busybox AS evil
RUN ln -s ${canary.directory} /link
FROM busybox
RUN --mount=type=cache,id=${id},target=/m ls -A /m && touch /m/x && echo "own $(ls /m)"
RUN --mount=type=cache,target=/${id} touch /${id}/x
RUN --mount=type=cache,id=s,from=evil,source=/link/,target=/m ls -A /m && touch /m/x
`,
        }),
      );
      assert.match(stderr, /^own x$/m);
      assert.doesNotMatch(stderr, /^secret$/m);
      assert.equal(code, 1);
    });

    it("CVE-2024-9407: options of a mount that are not the Dockerfile's to choose", async () => {
      const dockerfile = "FROM busybox\nRUN --mount=type=bind,target=/m,bind-propagation=shared true\n";
      const { code, stderr } = await build(bench.context({ Dockerfile: dockerfile }));
      assert.equal(code, 1);
      assert.match(stderr, /bind-propagation/);
    });

    it("CVE-2024-23652: a mount point that the command replaces by a symlink", async () => {
      const { code, output } = await build(
        bench.context({
          Dockerfile: `FROM busybox
RUN --mount=type=tmpfs,target=/a/b/secret rm -rf /a/b 2>/dev/null; mv /a /moved; ln -s ${canary.directory}/.. /a; true
RUN --mount=type=bind,target=${canary.file} true
`,
        }),
      );
      assert.equal(code, 0);
      assert.ok(statSync(join(output, "etc/passwd")).isFile());
    });

    it("CVE-2024-21626, GHSA-q6r4-3wmg-fwcq: a WORKDIR that is a leaked descriptor or a symlink", async () => {
      const directories = ["/proc/self/fd/3", "/proc/self/fd/7", "/proc/self/fd/8", "/link/new"];
      for (const directory of directories) {
        const { stderr } = await build(
          bench.context({
            Dockerfile: `FROM busybox
RUN ln -s ${canary.directory} /link
WORKDIR ${directory}
RUN pwd -P; ls -A ../../../../../../../..${canary.directory} 2>/dev/null; cat secret; true
`,
          }),
        );
        assert.doesNotMatch(stderr, /^secret$|nobody outside/m, directory);
      }
    });

    it("CVE-2021-3602, CVE-2022-27651: what a command inherits of who builds", async () => {
      const dockerfile = `FROM busybox
RUN grep CapInh /proc/self/status; ls -d /proc/[0-9]*; cat /proc/*/environ | tr '\\0' '\\n'
`;
      const context = bench.context({ Dockerfile: dockerfile });
      const { code, stderr } = await bench.run(["build", "--progress=plain", "--no-cache", context], {
        env: { CI_TOKEN_OF_THE_HOST: "hunter2" },
      });
      assert.equal(code, 0, stderr);
      assert.match(stderr, /CapInh:\t0000000000000000/);
      assert.doesNotMatch(stderr, /hunter2/);
    });

    it("CVE-2024-23653: no command has more rights than were granted", async () => {
      const dockerfile = "FROM busybox\nRUN --security=insecure true\n";
      const { code, stderr } = await build(bench.context({ Dockerfile: dockerfile }));
      assert.equal(code, 1);
      assert.match(stderr, /security\.insecure/);
    });
  });

  it("CVE-2026-33747: a frontend that the Dockerfile asks for is not run", async () => {
    const dockerfile = "# syntax=127.0.0.1:9/evil/frontend:1\nFROM scratch\nCOPY Dockerfile /\n";
    const { code, stderr } = await build(bench.context({ Dockerfile: dockerfile }));
    assert.equal(code, 0, stderr);
  });
});
