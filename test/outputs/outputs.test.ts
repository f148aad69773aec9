import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { type ValidatedImage, validateImageLayout } from "../validate-image.ts";

const FILES = { "a/one": "1\n", two: "2\n" };
const DOCKERFILE = `FROM scratch AS base
COPY a /a
FROM base AS app
COPY two /b/
ENV A=b
FROM base AS test
COPY --from=app /b /tested
`;

describe("outputs of a build", () => {
  let bench: BuildBench;
  let context: string;
  let count = 0;
  before(async () => {
    bench = await openBuildBench();
    context = bench.context({ ...FILES, Dockerfile: DOCKERFILE });
  });
  after(() => bench[Symbol.dispose]());

  const place = (name = "out") => join(bench.directory, `${name}-${count++}`);
  async function build(args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await bench.run([
      "build",
      "--progress=plain",
      "--target=app",
      ...args,
      context,
    ]);
    assert.equal(code, 0, stderr);
    return stdout;
  }
  async function refused(args: readonly string[], message: RegExp): Promise<void> {
    const { code, stderr } = await bench.run(["build", "--progress=plain", "--target=app", ...args, context]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, message);
  }
  const tree = (directory: string) => readdirSync(directory, { recursive: true, encoding: "utf8" }).sort();

  it("are the files of the result: in a directory, in a tar", async () => {
    const [short, long, tar] = [place(), place(), place("tar")];
    const stdout = await build([
      "-o",
      short,
      "-o",
      `type=local,dest=${long}`,
      "-o",
      `type=tar,dest=${tar}`,
      "-o",
      "-",
    ]);
    const expected = ["a", "a/one", "b", "b/two"];
    assert.deepEqual(tree(short), expected);
    assert.deepEqual(tree(long), expected);
    assert.equal(readFileSync(join(short, "b/two"), "utf8"), "2\n");
    assert.equal(statSync(join(short, "b/two")).mtimeMs % 1000, 0);
    const list = (input: Buffer) => execFileSync("tar", ["-t"], { input, encoding: "utf8" });
    assert.equal(list(readFileSync(tar)), "a/\na/one\nb/\nb/two\n");
    assert.equal(list(Buffer.from(stdout, "utf8")), "a/\na/one\nb/\nb/two\n");
  });

  it("delete what is not theirs only when they are asked to, and never a working directory", async () => {
    const dest = place();
    mkdirSync(join(dest, "old/deep"), { recursive: true });
    await build(["-o", dest]);
    assert.deepEqual(readdirSync(dest), ["a", "b", "old"]);
    await build(["-o", `type=local,dest=${dest},mode=delete`]);
    assert.deepEqual(readdirSync(dest), ["a", "b"]);
    await refused(["-o", "type=local,dest=/,mode=delete"], /Cannot write to "\/" with mode=delete/);
  });

  it("go into a directory for each platform, unless that is off", async () => {
    const dest = place();
    const platforms = ["--platform", "linux/amd64,linux/arm64"];
    await build([...platforms, "-o", `type=local,dest=${dest},mode=delete`]);
    assert.deepEqual(readdirSync(dest), ["linux_amd64", "linux_arm64"]);
    const single = place();
    await build(["--platform=linux/arm64", "-o", `type=local,dest=${single},platform-split=true`]);
    assert.deepEqual(readdirSync(single), ["linux_arm64"]);
    await refused(
      [...platforms, "-o", `type=tar,dest=${place()},platform-split=false`],
      /Cannot overwrite "\/a\/one" from linux\/amd64 with linux\/arm64/,
    );
  });

  it("have every compression and both families of media types", async () => {
    const forms: readonly (readonly [string, RegExp, RegExp])[] = [
      ["type=oci", /oci\.image\.manifest/, /tar\+gzip$/],
      ["type=oci,compression=gzip,compression-level=0", /oci\.image\.manifest/, /tar\+gzip$/],
      ["type=oci,compression=zstd,compression-level=19", /oci\.image\.manifest/, /tar\+zstd$/],
      ["type=oci,compression=uncompressed", /oci\.image\.manifest/, /layer\.v1\.tar$/],
      ["type=oci,oci-mediatypes=false", /docker\.distribution\.manifest\.v2/, /tar\.gzip$/],
      ["type=docker", /docker\.distribution\.manifest\.v2/, /tar\.gzip$/],
      ["type=docker,compression=zstd", /oci\.image\.manifest/, /tar\+zstd$/],
      ["type=docker,oci-mediatypes=true", /oci\.image\.manifest/, /tar\+gzip$/],
    ];
    const paths = forms.map(() => place("image"));
    await build(forms.flatMap(([form], at) => ["-o", `${form},dest=${paths[at]}`]));
    const digests = new Set<string>();
    for (const [at, [form, manifestType, layerType]] of forms.entries()) {
      const [image] = await validateImageLayout(paths[at]!);
      assert.match(String(image!.manifest.mediaType), manifestType, form);
      for (const { mediaType } of image!.manifest.layers as { mediaType: string }[])
        assert.match(mediaType, layerType, form);
      digests.add(image!.digest);
    }
    // type=docker says the same as type=oci,oci-mediatypes=false; zstd needs OCI's types.
    assert.equal(digests.size, 6 + 0);
  });

  it("are refused where an attribute is wrong", async () => {
    await refused(
      ["-o", "type=oci,compression=gzipp"],
      /there is no compression "gzipp"\n\nHint: Did you mean "gzip"\?/,
    );
    await refused(
      ["-o", "type=oci,compression-level=10,dest=x"],
      /compression-level is "10", not a number from 0 to 9/,
    );
    await refused(["-o", "type=local,dest=x,mode=move"], /mode is "move", not copy or delete/);
    await refused(["-o", "type=local,dest=x,push=true"], /push means nothing for the type local/);
    await refused(
      ["-o", "type=oci,annotation-index.a=b,dest=x"],
      /index annotations are not supported for one platform/,
    );
    const early = place();
    await refused(
      ["-o", `type=local,dest=${early}`, "-o", "type=oci,annotation-index.a=b,dest=x"],
      /index annotations are not supported for one platform/,
    );
    assert.ok(!existsSync(early));
    await refused(["-o", "type=oci,annotation-x.a=b,dest=x"], /there is no level "x"/);
    await refused(
      ["-o", "nobody=type=cacheonly"],
      /Cannot write an output of "nobody": it is not one of the targets/,
    );
    await refused(["--push"], /it has no name/);
    await refused(
      ["-o", "type=image,name=127.0.0.1:1/x:tag,push=true,push-by-digest=true"],
      /by digest: it has the tag "tag"/,
    );
  });

  it("are annotated at every level", async () => {
    const dest = place("image");
    await build([
      "--platform=linux/amd64,linux/arm64",
      ...[
        "--annotation",
        "k=all",
        "--annotation",
        "manifest[linux/arm64]:k=arm",
        "--annotation",
        "index,manifest-descriptor:Case=x,y",
      ],
      "-o",
      `type=oci,dest=${dest},"annotation-index-descriptor.d=with,comma"`,
    ]);
    const images = await validateImageLayout(dest);
    assert.deepEqual(
      images.map(({ platform, manifest }) => [platform, manifest.annotations]),
      [
        ["linux/amd64", { k: "all" }],
        ["linux/arm64", { k: "arm" }],
      ],
    );
    const read = (name: string) =>
      JSON.parse(execFileSync("tar", ["-xOf", dest, name], { encoding: "utf8" }));
    const [entry] = read("index.json").manifests;
    assert.equal(entry.annotations.d, "with,comma");
    const index = read(`blobs/sha256/${entry.digest.slice(7)}`);
    assert.deepEqual(index.annotations, { Case: "x,y" });
    assert.deepEqual(index.manifests[0].annotations, { Case: "x,y" });
  });

  it("say what they are in the metadata file and the id file", async () => {
    const [metadata, id, dest] = [place("metadata"), place("id"), place("image")];
    await build(["-t", "app:1", "--metadata-file", metadata, "--iidfile", id, "-o", `type=oci,dest=${dest}`]);
    const [image] = await validateImageLayout(dest);
    const facts = JSON.parse(readFileSync(metadata, "utf8"));
    assert.equal(facts["containerimage.digest"], image!.digest);
    assert.equal(facts["containerimage.descriptor"].digest, image!.digest);
    assert.equal(
      facts["containerimage.config.digest"],
      (image!.manifest.config as { digest: string }).digest,
    );
    assert.equal(facts["image.name"], "docker.io/library/app:1");
    assert.match(facts["buildx.build.ref"], /^slipway\/slipway\/[0-9a-z]{25}$/);
    assert.equal(readFileSync(id, "utf8"), facts["containerimage.config.digest"]);
    // Also where nothing leaves the store; for several platforms the index is the image.
    await build(["--platform=linux/amd64,linux/arm64", "--metadata-file", metadata, "--iidfile", id]);
    const several = JSON.parse(readFileSync(metadata, "utf8"));
    assert.match(several["containerimage.descriptor"].mediaType, /image\.index/);
    assert.equal(several["containerimage.config.digest"], undefined);
    assert.equal(readFileSync(id, "utf8"), several["containerimage.digest"]);
  });

  it("of several targets come from one build", async () => {
    const [app, test] = [place("app"), place("test")];
    const { code, stderr } = await bench.run([
      ...["build", "--no-cache", "--progress=plain", "--target=app", "--target=TEST", "-t", "several"],
      ...["-o", `type=oci,dest=${app}`, "-o", `test=type=local,dest=${test}`, "-o", "type=image", context],
    ]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(tree(test), ["a", "a/one", "tested", "tested/two"]);
    const [image] = await validateImageLayout(app);
    assert.equal(image!.layers.length, 2);
    // The stage that both stand on is built once.
    assert.equal(stderr.match(/^#\d+ \[base .*COPY a \/a$/gm)?.length, 1, stderr);
    // Each is said with its own places.
    const said = stderr.match(/^\w+ linux\/\S+ sha256:.*$/gm);
    const lines = said?.map((line) => line.replace(/linux\/\S+ sha256:[0-9a-f]{64}/, "IMAGE"));
    assert.deepEqual(lines, [
      `app IMAGE  several:latest, written to ${app}`,
      `test IMAGE  written to ${test}`,
    ]);
    const listed = await bench.run(["images", "-q", "several"]);
    assert.equal(listed.stdout.trim().split("\n").length, 1);
  });

  it("squash to one layer, and leave the cache as it is", async () => {
    const [squashed, plain] = [place("image"), place("image")];
    await build(["--squash", "-t", "squashed", "-o", `type=oci,dest=${squashed}`, "-o", "type=image"]);
    const [image] = await validateImageLayout(squashed);
    assert.equal(image!.layers.length, 1);
    assert.deepEqual(image!.config.config.Env.at(-1), "A=b");
    assert.equal(image!.config.history.length, 1);
    assert.deepEqual(
      image!.layers[0]!.map(({ path }) => path),
      ["a", "a/one", "b", "b/two"],
    );
    await build(["-o", `type=oci,dest=${plain}`]);
    assert.equal((await validateImageLayout(plain))[0]!.layers.length, 2);
    const listed = await bench.run(["ls", "squashed:/b"]);
    assert.match(listed.stdout, /two/);
  });

  it("squash the new layers and keep the base's", { skip: runMissing }, async () => {
    const dest = place("image");
    const dockerfile =
      "FROM busybox\nENV A=b\nRUN rm /bin/vi && echo 1 > /one\nCOPY one /tmp/\nRUN rm /one\nCMD x\n";
    const args = ["--squash-new", "-o", `type=oci,dest=${dest}`];
    const { code, stderr } = await bench.build(dockerfile, { files: { one: "1" }, args });
    assert.equal(code, 0, stderr);
    const [image] = await validateImageLayout(dest);
    const [base, own] = image!.layers;
    assert.equal(image!.layers.length, 2);
    assert.ok(base!.some(({ path }) => path === "bin/vi"));
    assert.deepEqual(own!.map(({ path }) => path).sort(), ["bin", "bin/.wh.vi", "tmp", "tmp/one"]);
    assert.equal(image!.config.history.at(-1).created_by, "slipway build --squash");
  });

  it("squash what one stage did, and keep what stands on it", async () => {
    const dest = place("image");
    const dockerfile =
      "FROM scratch AS lower\nCOPY one /a/\nCOPY one /b\nENV A=b\nFROM lower AS upper\nCOPY one /c\nCOPY one /d\nLABEL l=m\n";
    const build = (stage: string) =>
      bench.build(dockerfile, {
        files: { one: "1" },
        args: ["--squash-stage", stage, "-o", `type=oci,dest=${dest}`],
      });
    const lower = await build("Lower");
    assert.equal(lower.code, 0, lower.stderr);
    const paths = ({ layers }: ValidatedImage) => layers.map((layer) => layer.map(({ path }) => path));
    const [image] = await validateImageLayout(dest);
    assert.deepEqual(paths(image!), [["a", "a/one", "b"], ["c"], ["d"]]);
    const created = image!.config.history.map((entry: { created_by: string }) => entry.created_by);
    assert.equal(created[0], "slipway build --squash");
    assert.deepEqual(
      created.slice(-3).map((text: string) => text.split(" ")[0]),
      ["COPY", "COPY", "LABEL"],
    );

    assert.equal((await build("upper")).code, 0);
    assert.deepEqual(paths((await validateImageLayout(dest))[0]!), [["a", "a/one"], ["b"], ["c", "d"]]);

    const unknown = await build("uper");
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /Cannot squash the stage "uper"[\s\S]*Did you mean "upper"\?/);
  });

  it("of store=false leave no image behind", async () => {
    await build(["-t", "nowhere", "-o", "type=image,store=false"]);
    assert.equal((await bench.run(["images", "-q", "nowhere"])).stdout, "");
  });
});
