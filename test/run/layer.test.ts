import assert from "node:assert/strict";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { runSlipway } from "../slipway.ts";
import { validateImageLayout } from "../validate-image.ts";

/** What docker's limit is, and more. */
const DEPTH = 128;
/** Of one stage: more than docker takes. */
const RUNS = 300;

describe("the layer of a RUN", { skip: runMissing }, () => {
  let bench: BuildBench;
  beforeEach(async () => {
    bench = await openBuildBench();
  });
  afterEach(() => bench[Symbol.dispose]());

  /** The members of the last layer of `FROM busybox` and these RUNs, by name. */
  async function lastLayer(...commands: readonly string[]) {
    const out = join(bench.directory, "out.tar");
    const dockerfile = ["FROM busybox", ...commands.map((command) => `RUN ${command}`)].join("\n");
    const { code, stderr } = await bench.build(dockerfile, { args: ["-o", `type=oci,dest=${out}`] });
    assert.equal(code, 0, stderr);
    const [image] = await validateImageLayout(out);
    const members = image!.layers.at(-1)!.filter(({ path }) => path !== "");
    return {
      paths: members.map(({ path }) => path),
      member: (path: string) => members.find((one) => one.path === path),
    };
  }

  it("has a whiteout for what was deleted, and nothing for what came and went", async () => {
    const { paths } = await lastLayer(
      "mkdir -p /d/e && touch /d/e/file /d/other",
      "rm -r /d/e && touch /tmp-file && rm /tmp-file && rm /d/other && touch /d/other",
    );
    assert.deepEqual(paths, ["d", "d/.wh.e", "d/other"]);
  });

  it("makes a directory that was made again opaque", async () => {
    const { paths } = await lastLayer("mkdir /d && touch /d/old", "rm -r /d && mkdir /d && touch /d/new");
    assert.deepEqual(paths, ["d", "d/.wh..wh..opq", "d/new"]);
  });

  it("replaces a directory by a file and a file by a directory", async () => {
    const { paths, member } = await lastLayer(
      "mkdir /d && touch /d/x && touch /f",
      "rm -r /d && echo file > /d && rm /f && mkdir /f && touch /f/in && ln -s target /l",
    );
    assert.deepEqual(paths, ["d", "f", "f/in", "l"]);
    assert.equal(member("d")?.type, "file");
    assert.equal(member("l")?.type, "symlink");
  });

  const isSynced = process.env.SLIPWAY_DISABLE?.includes("volatile") && "it is disabled";
  it("makes no command wait for the disk: the store syncs itself, once", { skip: isSynced }, async () => {
    const { stderr } = await bench.build("FROM busybox\nRUN grep ' / overlay ' /proc/mounts");
    // Linux 6.19 says it in other words.
    assert.match(stderr, / overlay rw,.*,(fsync=)?volatile/);
  });

  it("keeps hard links, and takes a whole file with a change of its mode, owner or time", async () => {
    const { paths, member } = await lastLayer(
      "echo mode > /mode && echo owner > /owner && echo time > /time && echo same > /same",
      "chmod 4711 /mode && chown 12:34 /owner && touch -d @1000000000 /time && touch /a && ln /a /b && cat /same",
    );
    assert.deepEqual(paths, ["a", "b", "mode", "owner", "time"]);
    assert.equal(member("b")?.type, "hardlink");
    assert.equal(member("mode")!.mode & 0o7777, 0o4711);
    assert.deepEqual([member("owner")!.uid, member("owner")!.gid], [12, 34]);
    assert.equal(member("time")!.mtime, 1_000_000_000);
    assert.equal(member("mode")!.size, 5);
  });

  it("leaves sockets out, keeps fifos and the content of sparse files", async () => {
    const { paths, member } = await lastLayer(
      "mkfifo /fifo && (nc -l -s local:/socket & sleep 0.3; kill $!); dd if=/dev/zero of=/sparse bs=1 count=1 seek=10000000 2>/dev/null; true",
    );
    assert.equal(member("fifo")?.type, "fifo");
    assert.equal(member("sparse")?.size, 10_000_001);
    assert.ok(!paths.includes("socket"));
  });

  it("is empty where a command only read, mounted or wrote what is not the image's", async () => {
    const { paths } = await lastLayer(
      "--mount=type=tmpfs,target=/new/tmp --mount=type=cache,target=/new/cache --mount=type=bind,rw,target=/new/bind touch /new/tmp/a /new/cache/b /new/bind/c /dev/d /dev/shm/e && cat /etc/hosts /etc/resolv.conf && ls -R / > /dev/null",
    );
    assert.deepEqual(paths, []);
  });

  it(`shows ${DEPTH} layers as one tree, with every kernel's way to mount them`, async () => {
    const layers = Array.from(
      { length: DEPTH },
      (_, n) => `RUN echo ${n} > /f${n}; echo ${n} > /same; rm -f /f${n - 2}`,
    );
    const dockerfile = ["FROM busybox", ...layers].join("\n");
    assert.equal((await bench.build(dockerfile)).code, 0);
    for (const disabled of ["", "lowerdir+", "lowerdir+,erofs", "fsopen"]) {
      const context = bench.context({
        Dockerfile: `${dockerfile}\nRUN ls -d /f* && cat /same && echo "${disabled}" > /x`,
      });
      const { code, stderr } = await bench.run(["build", "--progress=plain", context], {
        env: { SLIPWAY_DISABLE: disabled },
      });
      assert.equal(code, 0, stderr);
      const printed = stderr.replaceAll(/^#\d+ [\d.]+ /gm, "");
      assert.match(printed, new RegExp(`^/f${DEPTH - 2}\n/f${DEPTH - 1}\n${DEPTH - 1}$`, "m"));
    }
  });

  it(`takes an image of ${DEPTH} layers from elsewhere, with every kernel's way to mount them`, async () => {
    const layers = Array.from({ length: DEPTH - 1 }, (_, n) => `RUN --network=none echo ${n} > /f${n}`);
    const out = join(bench.directory, "deep.tar");
    const built = await bench.build(["FROM busybox", ...layers].join("\n"), {
      args: ["-t", "deep", "-o", `type=oci,dest=${out}`],
    });
    assert.equal(built.code, 0, built.stderr);
    for (const [number, disabled] of ["", "lowerdir+", "fsopen"].entries()) {
      const root = ["--root", join(bench.directory, `elsewhere-${number}`)];
      const run = (args: readonly string[]) =>
        runSlipway([...root, ...args], { env: { SLIPWAY_DISABLE: disabled } });
      assert.equal((await run(["load", "-i", out])).code, 0);
      const context = bench.context({
        Dockerfile: `FROM deep\nRUN echo $(ls -d /f* | wc -l) $(cat /f${DEPTH - 2})`,
      });
      const { code, stderr } = await run(["build", "--progress=plain", context]);
      assert.equal(code, 0, stderr);
      assert.match(stderr, new RegExp(` ${DEPTH - 1} ${DEPTH - 2}$`, "m"));
    }
  });

  it("has under it what a layer that comes twice says last", async () => {
    const files = { a: "1\n", b: "2\n" };
    // What is copied again is the same layer: above another file at its path, and above its own deletion.
    const lines = ["FROM busybox", "COPY a /d/x", "COPY b /d/x", "COPY a /d/x", "RUN cat /d/x > /first"];
    const again = ["RUN rm -r /d", "COPY a /d/x", "RUN cat /d/x > /second; ls /d >> /second"];
    const { code, stderr } = await bench.build([...lines, ...again, ""].join("\n"), {
      files,
      args: ["-t", "twice"],
    });
    assert.equal(code, 0, stderr);
    const show = async (path: string) => (await bench.run(["cat", `twice:${path}`])).stdout;
    assert.deepEqual([await show("/first"), await show("/second")], ["1\n", "1\nx\n"]);
  });

  it(`runs ${RUNS} commands in one stage`, async () => {
    const runs = Array.from({ length: RUNS - 1 }, (_, n) => `RUN --network=none echo ${n} > /f${n}`);
    const last = "RUN --network=none echo $(ls -d /f* | wc -l)";
    for (const disabled of ["", "fsopen"]) {
      const context = bench.context({
        Dockerfile: ["FROM busybox", ...runs, `${last} "by ${disabled}"`].join("\n"),
      });
      const { code, stderr } = await bench.run(["build", "--progress=plain", context], {
        env: { SLIPWAY_DISABLE: disabled },
      });
      assert.equal(code, 0, stderr);
      assert.match(stderr, new RegExp(` ${RUNS - 1} by ${disabled}$`, "m"));
    }
  });

  it("takes only names of features in SLIPWAY_DISABLE", async () => {
    const context = bench.context({ Dockerfile: "FROM busybox\nRUN true" });
    const { code, stderr } = await bench.run(["build", context], { env: { SLIPWAY_DISABLE: "erofs,erofd" } });
    assert.equal(code, 1);
    assert.match(stderr, /^Error: Cannot do without "erofd": there is no such feature$/m);
  });
});
