import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { digestBytes } from "../../src/oci/digest-bytes.ts";
import { type BuildBench, openBuildBench } from "../build-bench.ts";

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json";
const BUILDKIT = "application/vnd.buildkit.cacheconfig.v0";

describe("a cache of another builder", () => {
  let bench: BuildBench;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());

  /** A layout whose index lists the root; each document is a blob. */
  function writeLayout(
    name: string,
    root: (add: (mediaType: string, document: object) => object) => object,
  ): string {
    const directory = join(bench.directory, name);
    mkdirSync(join(directory, "blobs/sha256"), { recursive: true });
    const add = (mediaType: string, document: object) => {
      const bytes = Buffer.from(JSON.stringify(document));
      const digest = digestBytes(bytes);
      writeFileSync(join(directory, "blobs/sha256", digest.slice(7)), bytes);
      return { mediaType, digest, size: bytes.length };
    };
    writeFileSync(
      join(directory, "index.json"),
      JSON.stringify({ schemaVersion: 2, manifests: [root(add)] }),
    );
    return directory;
  }
  const importFrom = (directory: string) =>
    bench.build("FROM scratch\nCOPY Dockerfile /\n", {
      args: ["--cache-from", `type=local,src=${directory}`],
    });
  /** As BuildKit 0.32 writes it: its own config, or an index of layers, or a key in an image's config. */
  const FORMS = {
    manifest: (add: (mediaType: string, document: object) => object) =>
      add(MANIFEST, {
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: add(BUILDKIT, { layers: [], records: [] }),
        layers: [],
      }),
    index: (add: (mediaType: string, document: object) => object) =>
      add("application/vnd.oci.image.index.v1+json", {
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.index.v1+json",
        manifests: [add(BUILDKIT, { layers: [], records: [] })],
      }),
    inline: (add: (mediaType: string, document: object) => object) =>
      add(MANIFEST, {
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: add(IMAGE_CONFIG, {
          os: "linux",
          architecture: "amd64",
          rootfs: { type: "layers", diff_ids: [] },
          "moby.buildkit.cache.v0": "e30=",
        }),
        layers: [],
      }),
  };
  for (const [name, root] of Object.entries(FORMS)) {
    it(`is known as BuildKit's, and refused with a word on why (${name})`, async () => {
      const { code, stderr } = await importFrom(writeLayout(name, root));
      assert.equal(code, 1, stderr);
      assert.match(
        stderr,
        /Error: Cannot import the cache ".*": BuildKit wrote it, and its records mean nothing to slipway/,
      );
      assert.match(stderr, /Hint: Give slipway's cache a name of its own/);
    });
  }

  it("records that nobody of ours wrote are an error", async () => {
    for (const document of [
      {},
      { records: [{ id: 1 }] },
      { records: [{ id: "x", created: 1, keys: ["no digest"] }] },
    ]) {
      const layout = writeLayout(`damaged-${JSON.stringify(document).length}`, (add) =>
        add(MANIFEST, {
          schemaVersion: 2,
          config: add("application/vnd.slipway.cache.v1+json", document),
          layers: [],
        }),
      );
      const { code, stderr } = await importFrom(layout);
      assert.equal(code, 1);
      assert.match(stderr, /Error: Cannot import the cache ".*": its records are damaged/);
    }
  });

  it("options that mean nothing are errors that say what to write", async () => {
    const WRONG: readonly (readonly [args: string, message: RegExp])[] = [
      [
        "--cache-to type=gha",
        /Cannot use type=gha in --cache-to: slipway has no such cache\n\nHint: Types are local, registry, inline/,
      ],
      ["--cache-to type=s3,region=eu,bucket=b", /Cannot use type=s3 in --cache-to/],
      ["--cache-from type=azblob,name=x", /Cannot use type=azblob in --cache-from/],
      ["--cache-to type=locla,dest=x", /there is no cache type "locla"\n\nHint: Did you mean "local"\?/],
      ["--cache-to dest=x", /it has no type/],
      ["--cache-to type=local", /it has no dest\n\nHint: Add dest=DIRECTORY/],
      ["--cache-to type=local,dest=x,mode=mid", /mode is "mid", not min or max/],
      ["--cache-to type=registry", /it has no ref/],
      ["--cache-to type=registry,ref=a,image-manifest=false", /always an image manifest/],
      ["--cache-to type=inline,mode=max", /mode means nothing for the type inline/],
      [
        "--cache-from type=inline",
        /an image's own cache is found by the image's name\n\nHint: Write type=registry,ref=IMAGE/,
      ],
      ["--cache-from type=local,src=x,digest=y", /"y" is no digest/],
    ];
    for (const [args, message] of WRONG) {
      const { code, stderr } = await bench.run(["build", ...args.split(" "), "."]);
      assert.notEqual(code, 0);
      assert.match(stderr, message);
    }
  });
});
