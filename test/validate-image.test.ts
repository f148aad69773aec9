import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import { validateImageLayout } from "./validate-image.ts";

const work = mkdtempSync(join(tmpdir(), "slipway-validator-"));
after(() => rmSync(work, { recursive: true, force: true }));

type JsonObject = Record<string, unknown>;

/** What is wrong with a layout; each changes what would be right. */
interface Flaws {
  readonly tar?: Buffer;
  readonly config?: (config: JsonObject) => JsonObject;
  readonly manifest?: (manifest: JsonObject) => JsonObject;
  readonly index?: (entry: JsonObject) => JsonObject;
  /** After the descriptors have been made. */
  readonly layerBytes?: Buffer;
}

let count = 0;

/** An OCI layout of one image with one layer, whose documents are what image spec 1.1 asks for. */
function makeLayout(flaws: Flaws = {}): string {
  const directory = join(work, String(count++));
  const blobs = join(directory, "blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const add = (mediaType: string, bytes: Buffer) => {
    const hex = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(blobs, hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const addJson = (mediaType: string, value: unknown) => add(mediaType, Buffer.from(JSON.stringify(value)));
  const same = (value: JsonObject) => value;

  const tar = flaws.tar ?? makeTar(["a", "a/b"]);
  const layer = add("application/vnd.oci.image.layer.v1.tar+gzip", gzipSync(tar));
  if (flaws.layerBytes !== undefined) writeFileSync(join(blobs, layer.digest.slice(7)), flaws.layerBytes);
  const config = addJson(
    "application/vnd.oci.image.config.v1+json",
    (flaws.config ?? same)({
      created: "2026-01-02T03:04:05.678Z",
      os: "linux",
      architecture: "amd64",
      config: { Env: ["PATH=/bin"], Cmd: ["a"] },
      rootfs: { type: "layers", diff_ids: [`sha256:${createHash("sha256").update(tar).digest("hex")}`] },
      history: [
        { created: "2026-01-02T03:04:05Z", created_by: "COPY a /" },
        { created_by: "CMD", empty_layer: true },
      ],
    }),
  );
  const manifest = addJson(
    "application/vnd.oci.image.manifest.v1+json",
    (flaws.manifest ?? same)({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config,
      layers: [layer],
    }),
  );
  const entry = (flaws.index ?? same)({ ...manifest, platform: { os: "linux", architecture: "amd64" } });
  writeFileSync(join(directory, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  writeFileSync(join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  return directory;
}

/** By GNU tar, with exactly these members; what has something below it is a directory. */
function makeTar(names: readonly string[], options: readonly string[] = []): Buffer {
  const root = mkdtempSync(join(work, "tree-"));
  for (const name of [...names].sort()) {
    const isDirectory = names.some((other) => other.startsWith(`${name}/`));
    mkdirSync(join(root, name, isDirectory ? "." : ".."), { recursive: true });
    if (!isDirectory) writeFileSync(join(root, name), name);
  }
  return execFileSync("tar", ["-c", "--no-recursion", "--mtime=@0", ...options, "-C", root, ...names]);
}

const withLayers = (change: (layer: JsonObject) => JsonObject) => (manifest: JsonObject) => ({
  ...manifest,
  layers: (manifest.layers as JsonObject[]).map(change),
});
const withContainer = (config: JsonObject) => (whole: JsonObject) => ({ ...whole, config });

test("an image by the letter of the specification is valid, as a directory and as a tar", async () => {
  const directory = makeLayout();
  const [image] = await validateImageLayout(directory);
  assert.equal(image?.platform, "linux/amd64");
  assert.deepEqual(
    image.layers[0]?.map(({ path, type }) => [path, type]),
    [
      ["a", "directory"],
      ["a/b", "file"],
    ],
  );
  assert.equal(image.layers[0]?.[1]?.content.toString(), "a/b");
  execFileSync("tar", ["-c", "-f", `${directory}.tar`, "-C", directory, "."]);
  assert.equal((await validateImageLayout(`${directory}.tar`)).length, 1);
});

const BROKEN: readonly (readonly [what: string, flaws: Flaws, problem: RegExp])[] = [
  ["a blob with other bytes", { layerBytes: Buffer.from("x") }, /has 1 bytes, its descriptor says/],
  [
    "a wrong size",
    { manifest: withLayers((layer) => ({ ...layer, size: 7 })) },
    /layer 0: it has \d+ bytes, its descriptor says 7/,
  ],
  [
    "a missing blob",
    { manifest: withLayers((layer) => ({ ...layer, digest: `sha256:${"0".repeat(64)}` })) },
    /the blob sha256:0+ is missing/,
  ],
  [
    "a diff ID of something else",
    {
      config: (config) => ({ ...config, rootfs: { type: "layers", diff_ids: [`sha256:${"1".repeat(64)}`] } }),
    },
    /its diff ID is sha256:[0-9a-f]{64}, the config says sha256:1+/,
  ],
  [
    "one diff ID too many",
    {
      config: (config) => {
        const { diff_ids } = config.rootfs as { diff_ids: string[] };
        return { ...config, history: [], rootfs: { type: "layers", diff_ids: [...diff_ids, diff_ids[0]] } };
      },
    },
    /1 layers, but 2 diff IDs/,
  ],
  [
    "a history that knows nothing of the layer",
    { config: (config) => ({ ...config, history: [{ created_by: "CMD", empty_layer: true }] }) },
    /0 history entries have a layer, but there are 1 layers/,
  ],
  [
    "a layer's media type that nobody knows",
    { manifest: withLayers((one) => ({ ...one, mediaType: "x/y" })) },
    /the media type x\/y/,
  ],
  [
    "gzip that says it is plain",
    { manifest: withLayers((one) => ({ ...one, mediaType: "application/vnd.oci.image.layer.v1.tar" })) },
    /its diff ID is/,
  ],
  [
    "a manifest of another media type",
    { index: (entry) => ({ ...entry, mediaType: "application/vnd.oci.image.index.v1+json" }) },
    /its media type is/,
  ],
  [
    "another platform",
    { index: (entry) => ({ ...entry, platform: { os: "linux", architecture: "arm64" } }) },
    /architecture is arm64, the config's amd64/,
  ],
  [
    "no architecture",
    { config: ({ architecture: _, ...config }) => config },
    /the config has no architecture/,
  ],
  [
    "a time that is none",
    { config: (config) => ({ ...config, created: "yesterday" }) },
    /"yesterday" is no time/,
  ],
  ["a command that is no list", { config: withContainer({ Cmd: "a" }) }, /config\.Cmd is no list/],
  ["a variable twice", { config: withContainer({ Env: ["A=1", "A=2"] }) }, /config\.Env has a name twice/],
  ["a file twice", { tar: makeTar(["a", "a/b", "a/b"]) }, /"a\/b" is there twice/],
  ["a file before its directory", { tar: makeTar(["a/b", "a"]) }, /"a\/b" comes before its directory/],
  [
    "a name that leaves the root",
    { tar: makeTar(["a"], ["--transform=s,^a,../a,", "-P"]) },
    /leaves the root/,
  ],
  [
    "an xattr of overlayfs",
    { tar: makeTar(["a"], ["--pax-option=SCHILY.xattr.trusted.overlay.opaque:=y"]) },
    /has the xattr trusted\.overlay\.opaque/,
  ],
  ["a tar that is cut off", { tar: makeTar(["a", "a/b"]).subarray(0, 1024) }, /the tar is cut off/],
];

for (const [what, flaws, problem] of BROKEN) {
  test(`refuses ${what}`, async () => {
    await assert.rejects(validateImageLayout(makeLayout(flaws)), problem);
  });
}

test("refuses a hard link to what is not before it", async () => {
  const root = mkdtempSync(join(work, "tree-"));
  writeFileSync(join(root, "a"), "");
  execFileSync("ln", [join(root, "a"), join(root, "b")]);
  const tar = execFileSync("tar", ["-c", "--transform=flags=h;s,^a$,c,", "-C", root, "a", "b"]);
  await assert.rejects(validateImageLayout(makeLayout({ tar })), /"b" is a hard link to "c"/);
});

test("lets foreign layers leave directories out, but never list them late", async () => {
  await assert.rejects(validateImageLayout(makeLayout({ tar: makeTar(["a/b"]) })), /before its directory/);
  const options = { mayMissParents: true };
  await validateImageLayout(makeLayout({ tar: makeTar(["a/b"]) }), options);
  await assert.rejects(
    validateImageLayout(makeLayout({ tar: makeTar(["a/b", "a"]) }), options),
    /before its/,
  );
});

test("finds blobs of a layout without its base layers in the shared one", async () => {
  const shared = makeLayout();
  const directory = makeLayout();
  rmSync(join(directory, "blobs"), { recursive: true });
  mkdirSync(join(directory, "blobs/sha256"), { recursive: true });
  await assert.rejects(validateImageLayout(directory), /is missing/);
  assert.equal((await validateImageLayout(directory, { shared })).length, 1);
});

test("refuses a docker archive whose manifest.json names other layers", async () => {
  const directory = makeLayout();
  const link = `${directory}-link`;
  symlinkSync(directory, link);
  const [image] = await validateImageLayout(link);
  const config = (image!.manifest.config as { digest: string }).digest.replace("sha256:", "blobs/sha256/");
  writeFileSync(
    join(directory, "manifest.json"),
    JSON.stringify([{ Config: config, RepoTags: null, Layers: [] }]),
  );
  execFileSync("tar", ["-c", "-f", `${directory}.tar`, "-C", directory, "."]);
  await assert.rejects(validateImageLayout(`${directory}.tar`), /other layers than the manifest/);
});
