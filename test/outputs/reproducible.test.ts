import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { runCommand, slipwayPath } from "../slipway.ts";
import { type ValidatedImage, validateImageLayout } from "../validate-image.ts";

const EPOCH = 1_600_000_000;
const DOCKERFILE = `FROM base AS builder
RUN mkdir -p /out/d && echo built > /out/d/f && touch -d @1000 /out/old
FROM base
WORKDIR /made/by/workdir
COPY --from=builder /out /out
COPY file /copied/file
ADD archive.tar /unpacked/
RUN echo a > /a && ln -s a /s && ln /a /h && rm /bin/vi
COPY <<TEXT /inline/text
hello
TEXT
`;

describe("a reproducible build", { skip: runMissing }, () => {
  let bench: BuildBench;
  let base: string;
  let context: string;
  let count = 0;
  before(async () => {
    bench = await openBuildBench();
    base = join(bench.directory, "base");
    const made = await bench.build("FROM busybox\n", { args: ["-o", `type=oci,tar=false,dest=${base}`] });
    assert.equal(made.code, 0, made.stderr);
    context = bench.context({ Dockerfile: DOCKERFILE, file: "f\n" });
    const packed = await runCommand("tar", ["-C", context, "-cf", join(context, "archive.tar"), "file"]);
    assert.equal(packed.code, 0, packed.stderr);
    mkdirSync(join(bench.directory, "stores"));
  });
  after(() => bench[Symbol.dispose]());

  interface Variation {
    readonly root: string;
    readonly args?: readonly string[];
    readonly form?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly umask?: string;
  }
  async function build(variation: Variation): Promise<ValidatedImage> {
    const { root, args = [], form = "rewrite-timestamp=true", env, umask = "022" } = variation;
    const dest = join(bench.directory, `image-${count++}`);
    const command = [
      slipwayPath,
      "--root",
      join(bench.directory, "stores", root),
      "build",
      "--progress=plain",
    ];
    const output = ["-o", `type=oci,dest=${dest}${form === "" ? "" : `,${form}`}`];
    const all = [...command, "--build-context", `base=oci-layout://${base}`, ...args, ...output, context];
    const { code, stderr } = await runCommand("sh", ["-c", `umask ${umask}; exec "$@"`, "sh", ...all], {
      env,
    });
    assert.equal(code, 0, stderr);
    const [image] = await validateImageLayout(dest);
    return image!;
  }
  const epoch = ["--build-arg", `SOURCE_DATE_EPOCH=${EPOCH}`];
  const own = (image: ValidatedImage) => image.layers.slice(1).flat();

  it("gives the same digest from two stores, time zones, locales, umasks, any --jobs, cold and warm", async () => {
    const first = await build({ root: "one", args: epoch });
    // The clock of the files must have moved on.
    await sleep(1100);
    const others: readonly Variation[] = [
      { root: "one", args: epoch },
      { root: "one", args: [...epoch, "--no-cache"] },
      {
        root: "two",
        args: [...epoch, "--jobs=1"],
        env: { TZ: "Asia/Tokyo", LC_ALL: "C" },
        umask: "077",
      },
      { root: "three", env: { SOURCE_DATE_EPOCH: String(EPOCH) } },
      { root: "three", args: ["--source-date-epoch", String(EPOCH), "--rewrite-timestamp"], form: "" },
    ];
    for (const variation of others) {
      const { digest } = await build(variation);
      assert.equal(digest, first.digest, JSON.stringify(variation));
    }
    assert.equal(first.config.created, "2020-09-13T12:26:40Z");
    for (const { created } of first.config.history) assert.ok(Date.parse(created) <= EPOCH * 1000, created);
    // Clamped: earlier times stay.
    assert.ok(own(first).every(({ mtime }) => mtime <= EPOCH));
    assert.ok(own(first).some(({ path, mtime }) => path === "out/old" && mtime === 1000));
  });

  it("leaves the base's layers as they are", async () => {
    const [before] = await validateImageLayout(base);
    const image = await build({ root: "one", args: epoch, form: "rewrite-timestamp=all" });
    assert.deepEqual((image.manifest.layers as object[])[0], (before!.manifest.layers as object[])[0]);
    assert.ok(own(image).every(({ mtime }) => mtime === EPOCH));
    assert.ok(own(image).some(({ type }) => type === "hardlink"));
    const same = await build({ root: "one", args: ["--timestamp", String(EPOCH)], form: "" });
    assert.equal(same.digest, image.digest);
  });

  it("takes the time of an output before that of the build", async () => {
    const image = await build({ root: "one", args: epoch, form: "source-date-epoch=100" });
    assert.equal(image.config.created, "1970-01-01T00:01:40Z");
    const plain = await build({ root: "one", form: "source-date-epoch=" });
    assert.ok(Date.parse(plain.config.created) > EPOCH * 1000);
  });
});
