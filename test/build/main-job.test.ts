import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { processesWith } from "../run/processes.ts";
import { slipwayPath } from "../slipway.ts";
import { validateImageLayout } from "../validate-image.ts";

describe("a build", { skip: runMissing }, () => {
  let bench: BuildBench;
  beforeEach(async () => {
    bench = await openBuildBench();
  });
  afterEach(() => bench[Symbol.dispose]());

  async function buildOk(dockerfile: string, options?: Parameters<BuildBench["build"]>[1]) {
    const result = await bench.build(dockerfile, options);
    assert.equal(result.code, 0, result.stderr);
    return result;
  }

  const cat = async (image: string, path: string): Promise<string> => {
    const { code, stdout, stderr } = await bench.run(["run", "--rm", image, "cat", path]);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  it("copies what a stage made into another, and runs the result", async () => {
    await buildOk(
      `FROM busybox AS builder
       RUN mkdir /out && echo built > /out/app && chmod 755 /out/app
       FROM busybox
       WORKDIR /srv
       COPY --from=builder /out/app .
       COPY note.txt /srv/
       CMD ["cat", "/srv/app", "/srv/note.txt"]`,
      { files: { "note.txt": "note\n" }, args: ["-t", "app"] },
    );
    const { stdout } = await bench.run(["run", "--rm", "app"]);
    assert.equal(stdout, "built\nnote\n");
  });

  it("writes images that are consistent in every byte", async () => {
    const dest = join(bench.directory, "image.tar");
    await buildOk(
      `FROM busybox AS builder
       RUN echo one > /one && rm /bin/vi && mkdir -p /a/b && echo two > /a/b/two
       FROM builder
       WORKDIR /w/x
       COPY . /context
       RUN true
       ENV A=b`,
      { files: { "f/g": "content", h: "" }, args: ["-o", `type=oci,dest=${dest}`] },
    );
    await validateImageLayout(dest);
  });

  it("runs nothing the second time, and gives the same image", async () => {
    const dockerfile = `FROM busybox AS builder
      RUN head -c 16 /dev/urandom | od -t x1 > /id
      FROM scratch
      COPY --from=builder /id /id
      COPY --chmod=600 file /file`;
    const directory = bench.context({ Dockerfile: dockerfile, file: "x" });
    const build = () => bench.run(["build", "-q", "-t", "app", directory]);
    const first = await build();
    assert.equal(first.code, 0, first.stderr);
    const second = await build();
    assert.equal(second.stdout, first.stdout);
    const third = await bench.run(["build", "--progress=plain", "-t", "app", directory]);
    assert.equal(third.stderr.match(/^#\d+ CACHED$/gm)?.length, 3, third.stderr);
  });

  it("does not build what the target does not need", async () => {
    const { stderr } = await buildOk(
      `FROM busybox AS base
       RUN echo fine > /f
       FROM nowhere.invalid/no/such AS broken
       RUN exit 1
       FROM base AS final
       COPY --from=base /f /g
       FROM broken AS later`,
      { args: ["--target", "final"] },
    );
    assert.match(stderr, /left out: broken, later/);
  });

  it("runs independent stages at the same time", async () => {
    // Each waits for the other's file: one after the other they would wait in vain.
    const meet = (own: string, other: string) =>
      `RUN --mount=type=cache,target=/meet touch /meet/${own}; for i in $(seq 100); do [ -e /meet/${other} ] && exit 0; sleep 0.1; done; exit 1`;
    await buildOk(
      `FROM busybox AS one
       ${meet("one", "other")}
       RUN touch /one
       FROM busybox AS other
       ${meet("other", "one")}
       RUN touch /other
       FROM scratch
       COPY --from=one /one /
       COPY --from=other /other /`,
    );
  });

  it("stops a rebuild where the content is the same again", async () => {
    const dockerfile = `FROM busybox AS builder
      COPY source /source
      RUN grep -v '^#' /source > /binary
      FROM busybox
      COPY --from=builder /binary /binary
      RUN head -c 16 /dev/urandom | od -t x1 > /id`;
    await buildOk(dockerfile, { files: { source: "# first\ncode\n" }, args: ["-t", "app"] });
    const id = await cat("app", "/id");
    const { stderr } = await buildOk(dockerfile, {
      files: { source: "# second\ncode\n" },
      args: ["-t", "app"],
    });
    assert.equal(await cat("app", "/id"), id, stderr);
    await buildOk(dockerfile, { files: { source: "# second\nother code\n" }, args: ["-t", "app"] });
    assert.notEqual(await cat("app", "/id"), id);
  });

  it("builds anew what --no-cache meets, and all that stands on it", async () => {
    const dockerfile = `FROM busybox AS one
      RUN head -c 16 /dev/urandom | od -t x1 > /id
      FROM busybox
      COPY --from=one /id /copy
      RUN cp /copy /again`;
    await buildOk(dockerfile, { args: ["-t", "app"] });
    const before = await cat("app", "/again");
    await buildOk(dockerfile, { args: ["-t", "app", "--no-cache-filter", "one"] });
    assert.notEqual(await cat("app", "/again"), before);
    assert.equal(await cat("app", "/again"), await cat("app", "/copy"));
  });

  it("leaves no process and no mount when it is killed, and keeps finished steps", async () => {
    const directory = bench.context({
      Dockerfile: `FROM busybox
        RUN head -c 16 /dev/urandom | od -t x1 > /id
        RUN [ -e /proceed ] || sleep 4713`,
    });
    const child = spawn(slipwayPath, ["--root", bench.root, "build", "--progress=plain", directory], {
      stdio: "ignore",
    });
    await until(() => processesWith("sleep 4713").length > 0);
    child.kill("SIGKILL");
    await once(child, "exit");
    await until(() => processesWith("sleep 4713").length + processesWith(bench.root).length === 0);
    assert.ok(!readFileSync("/proc/self/mounts", "utf8").includes(bench.directory));
    const { stderr } = await bench.build(`FROM busybox
        RUN head -c 16 /dev/urandom | od -t x1 > /id
        RUN true`);
    assert.match(stderr, /\[2\/3\] RUN head[^\n]*\n#\d+ CACHED/);
    assert.deepEqual(readdirSync(join(bench.root, "tmp")), []);
  });

  it("stops cleanly on an interrupt", async () => {
    const directory = bench.context({ Dockerfile: "FROM busybox\nRUN sleep 4714" });
    const child = spawn(slipwayPath, ["--root", bench.root, "build", "--progress=plain", directory], {
      stdio: "ignore",
    });
    await until(() => processesWith("sleep 4714").length > 0);
    child.kill("SIGINT");
    const [code] = await once(child, "exit");
    assert.equal(code, 130);
    assert.deepEqual(processesWith("sleep 4714"), []);
    assert.deepEqual(readdirSync(join(bench.root, "tmp")), []);
  });

  it("shares a store with another build at the same time", async () => {
    const dockerfile = (name: string) => `FROM busybox AS one
      RUN sleep 0.3; echo shared > /shared
      FROM busybox
      COPY --from=one /shared /shared
      RUN echo ${name} > /name`;
    const names = ["a", "b", "c", "d"];
    const results = await Promise.all(
      names.map((name) => bench.build(dockerfile(name), { args: ["-t", name] })),
    );
    for (const { code, stderr } of results) assert.equal(code, 0, stderr);
    for (const name of names) assert.equal(await cat(name, "/name"), `${name}\n`);
    assert.deepEqual(readdirSync(join(bench.root, "tmp")), []);
  });

  it("gives nobody the host's files, and leaves no mount point behind", async () => {
    const dest = join(bench.directory, "layout");
    mkdirSync(dest);
    await buildOk(
      `FROM busybox\nRUN --mount=type=tmpfs,target=/a/b/c touch /a/b/c/x; cat /etc/resolv.conf /etc/hosts > /dev/null; touch /y`,
      {
        args: ["-t", "app", "-o", `type=oci,dest=${dest},tar=false`],
      },
    );
    const [image] = await validateImageLayout(dest);
    assert.deepEqual(
      image!.layers.at(-1)!.map(({ path }) => path),
      ["y"],
    );
  });

  it("takes an image as a stage by name, by id, and by the name of a stage", async () => {
    const { stdout: id } = await bench.run([
      "build",
      "-q",
      "-t",
      "made",
      bench.context({ Dockerfile: "FROM busybox\nRUN echo m > /m" }),
    ]);
    for (const from of ["made", "made:latest", id.trim(), id.trim().slice(7, 19)]) {
      await buildOk(`FROM scratch\nCOPY --from=${from} /m /m`);
    }
  });

  it("does not change the store's names when it fails", async () => {
    await buildOk("FROM busybox\nRUN echo good > /v", { args: ["-t", "app"] });
    const { code } = await bench.build("FROM busybox\nRUN echo bad > /v\nRUN exit 3", {
      args: ["-t", "app"],
    });
    assert.notEqual(code, 0);
    assert.equal(await cat("app", "/v"), "good\n");
    assert.deepEqual(readdirSync(join(bench.root, "tmp")), []);
    assert.ok(existsSync(join(bench.root, "db.sqlite")));
  });
});

async function until(isTrue: () => boolean): Promise<void> {
  for (let round = 0; round < 500; round++) {
    if (isTrue()) return;
    await sleep(20);
  }
  assert.fail("it never became true");
}
