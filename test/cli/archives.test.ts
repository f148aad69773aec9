import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { runCommand, runSlipway, slipway } from "../slipway.ts";
import { dockerMissing, type RunningDocker, startDocker } from "../start-docker.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";
import { validateImageLayout } from "../validate-image.ts";

// Archives of images, as docker and skopeo write and read them.

const work = mkdtempSync(join(tmpdir(), "slipway-archives-"));
after(() => rmSync(work, { recursive: true, force: true }));
const skopeoMissing = !existsSync("/usr/bin/skopeo") && "skopeo is missing (apt-get install skopeo)";
const makeRoot = () => mkdtempSync(join(work, "store-"));

let context: string;
before(() => {
  context = join(work, "context");
  mkdirSync(context);
  writeFileSync(join(context, "one"), "1\n");
  writeFileSync(join(context, "two"), "2\n");
});

/** Builds an image of two layers into a store; what differs is its name and a label. */
async function build(root: string, ...names: readonly string[]) {
  const lines = [
    "FROM scratch",
    "COPY one /one",
    "COPY two /dir/two",
    `LABEL name=${names[0]}`,
    'CMD ["/one"]',
  ];
  writeFileSync(join(context, "Dockerfile"), `${lines.join("\n")}\n`);
  await slipway(["build", "-q", ...names.flatMap((name) => ["-t", name]), context], { root });
}

const idOf = async (root: string, name: string) =>
  (await slipway(["inspect", "-f", "{{.Id}}", name], { root })).stdout.trim();

/** Which members an archive has. */
const membersOf = (archive: string) =>
  execFileSync("tar", ["-tf", archive], { encoding: "utf8" }).trim().split("\n");

test("save puts several images into one archive, a name without a tag stands for all its tags, and load takes it", async () => {
  const root = makeRoot();
  await build(root, "app:1", "app:extra");
  await build(root, "app:2");
  await build(root, "other:1");
  const archive = join(work, "several.tar");
  await slipway(["save", "-o", archive, "app", "other:1"], { root });
  assert.equal((await validateImageLayout(archive)).length, 3);
  const entries = JSON.parse(execFileSync("tar", ["-xOf", archive, "manifest.json"], { encoding: "utf8" }));
  assert.deepEqual(
    entries.map(({ RepoTags }: { RepoTags: string[] }) => RepoTags),
    [["app:1", "app:extra"], ["app:2"], ["other:1"]],
  );
  const layers = membersOf(archive).filter((name) => name.startsWith("blobs/sha256/") && name.length > 20);
  // Three configs, three manifests, and two layers, which all share.
  assert.equal(layers.length, 8);
  const elsewhere = makeRoot();
  const { stdout } = await slipway(["load", "-i", archive], { root: elsewhere });
  assert.deepEqual(stdout.trim().split("\n").sort(), [
    "Loaded image: app:1",
    "Loaded image: app:2",
    "Loaded image: app:extra",
    "Loaded image: other:1",
  ]);
  for (const name of ["app:extra", "app:2", "other:1"]) {
    assert.equal(await idOf(elsewhere, name), await idOf(root, name));
  }
});

/** What of an image must survive every way that it goes. */
async function assertIsImage(root: string, name: string, id: string): Promise<void> {
  assert.equal(await idOf(root, name), id);
  assert.equal((await slipway(["ls", "-R", name], { root })).stdout, "dir\ndir/two\none\n");
  assert.equal((await slipway(["cat", `${name}:/dir/two`], { root })).stdout, "2\n");
}

/** Debian's docker, with `app:1` and `app:2`, which share their layers, and its archive of both. */
async function saveWithDocker(docker: RunningDocker) {
  const root = makeRoot();
  await build(root, "app:1");
  await build(root, "app:2");
  const archive = join(work, "ours.tar");
  await slipway(["save", "-o", archive, "app"], { root });
  const loaded = await docker.run(["load", "-i", archive]);
  assert.match(loaded.stdout, /Loaded image: app:1\n.*Loaded image: app:2/s);
  const saved = join(mkdtempSync(join(work, "docker-")), "saved.tar");
  await docker.run(["save", "-o", saved, "app:1", "app:2"]);
  // The form of before docker 25: no layout, a directory for each layer, links where images share one.
  assert.ok(!membersOf(saved).includes("index.json"));
  assert.ok(membersOf(saved).some((name) => /^[0-9a-f]{64}\/layer\.tar$/.test(name)));
  assert.ok(membersOf(saved).includes("repositories"));
  const ids = { 1: await idOf(root, "app:1"), 2: await idOf(root, "app:2") };
  return { saved, ids };
}

async function skopeo(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand("skopeo", args);
  assert.equal(code, 0, stderr);
  return stdout;
}

test("load and copy take what an older docker saved, and docker loads what copy makes of it", {
  skip: dockerMissing || registryMissing,
  timeout: 600_000,
}, async () => {
  await using docker = await startDocker();
  await using registry = await startRegistry();
  const { saved, ids } = await saveWithDocker(docker);
  const root = makeRoot();
  const { stdout } = await slipway(["load", "-i", saved], { root });
  // Docker writes the images of an archive in no certain order.
  assert.deepEqual(stdout.trim().split("\n").sort(), ["Loaded image: app:1", "Loaded image: app:2"]);
  await assertIsImage(root, "app:1", ids[1]);
  await assertIsImage(root, "app:2", ids[2]);
  const gzipped = execFileSync("gzip", ["-c", saved]);
  const piped = makeRoot();
  await slipway(["load"], { root: piped, input: gzipped });
  await assertIsImage(piped, "app:2", ids[2]);

  const copy = async (...args: readonly string[]) =>
    (await slipway(["copy", "-q", ...args], { root })).stdout.trim();
  const name = `${registry.host}/app:2`;
  const digest = await copy(`docker-archive:${saved}:app:2`, name);
  // As skopeo and docker send it: compressed; and with the bytes of a push.
  const layersOf = async (image: string) =>
    JSON.parse(await skopeo("inspect", "--raw", "--tls-verify=false", `docker://${image}`)).layers.map(
      (layer: Descriptor) => [layer.digest, /gzip$/.test(layer.mediaType)],
    );
  const pushed = `${registry.host}/pushed:2`;
  await slipway(["tag", "app:2", pushed], { root });
  await slipway(["push", "-q", pushed], { root });
  const layers = await layersOf(name);
  assert.deepEqual(layers, await layersOf(pushed));
  assert.ok(layers.every(([, isGzip]: [string, boolean]) => isGzip));
  const pulled = makeRoot();
  await slipway(["pull", "-q", name], { root: pulled });
  await assertIsImage(pulled, name, ids[2]);
  await docker.run(["pull", name]);
  const inspected = await docker.run(["inspect", "-f", "{{.Id}}", name]);
  assert.equal(inspected.stdout.trim(), ids[2]);

  const layout = join(work, "layout");
  assert.equal(await copy(`docker-archive:${saved}:app:2`, `oci:${layout}:x`), digest);
  const again = join(work, "again.tar");
  assert.equal(await copy(`oci:${layout}:x`, `docker-archive:${again}:renamed:3`), digest);
  assert.equal((await docker.run(["load", "-i", again])).stdout, "Loaded image: renamed:3\n");
  const renamed = await docker.run(["inspect", "-f", "{{.Id}}", "renamed:3"]);
  assert.equal(renamed.stdout.trim(), ids[2]);
  assert.equal(await copy(`docker-archive:${again}`, `oci:${layout}:y`), digest);

  const { stderr } = await runSlipway(["copy", `docker-archive:${saved}`, `oci:${layout}`], { root });
  assert.match(
    stderr,
    /Cannot use the docker archive ".*": it has 2 images\n\nHint: It has app:(1, app:2|2, app:1)\n/,
  );
  const other = await runSlipway(["copy", `docker-archive:${saved}:app:3`, `oci:${layout}`], { root });
  assert.match(other.stderr, /it has no image "app:3"/);
});

test("copy takes docker archives of skopeo, and skopeo reads those of copy", {
  skip: skopeoMissing,
}, async () => {
  const root = makeRoot();
  await build(root, "app:1");
  const ours = join(work, "for-skopeo.tar");
  await slipway(["save", "-o", ours, "app:1"], { root });
  const theirs = join(work, "of-skopeo.tar");
  await skopeo("copy", "-q", `docker-archive:${ours}`, `docker-archive:${theirs}:app:1`);
  const archive = join(work, "copied.tar");
  await slipway(["copy", "-q", `docker-archive:${theirs}`, `docker-archive:${archive}:my/app:2`], { root });
  const facts = JSON.parse(await skopeo("inspect", `docker-archive:${archive}:my/app:2`));
  assert.equal(facts.Labels.name, "app:1");
  const loaded = makeRoot();
  await slipway(["load", "-i", archive], { root: loaded });
  await assertIsImage(loaded, "my/app:2", await idOf(root, "app:1"));
});

test("load takes a directory with an OCI layout, and says what is no archive", async () => {
  const root = makeRoot();
  await build(root, "app:1");
  const layout = join(work, "layout");
  await slipway(["build", "-q", "-t", "app:1", "-o", `type=oci,tar=false,dest=${layout}`, context], { root });
  const loaded = makeRoot();
  const { stdout } = await slipway(["load", "-i", layout], { root: loaded });
  assert.equal(stdout, "Loaded image: app:1\n");
  await assertIsImage(loaded, "app:1", await idOf(root, "app:1"));
  for (const [path, message] of [
    [join(work, "nothing"), /Cannot load ".*nothing": there is no such file/],
    [context, /it has neither index\.json nor manifest\.json/],
  ] as const) {
    const { code, stderr } = await runSlipway(["load", "-i", path], { root: loaded });
    assert.equal(code, 1);
    assert.match(stderr, message);
  }
});

/** An archive of these members. */
function makeArchive(name: string, members: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(work, "members-"));
  for (const [path, text] of Object.entries(members)) writeFileSync(join(directory, path), text);
  const archive = join(work, name);
  execFileSync("tar", ["-cf", archive, "-C", directory, ...Object.keys(members)]);
  return archive;
}

test("load and copy take archives that are compressed, and ones whose layers are", async () => {
  const root = makeRoot();
  await build(root, "app:1");
  const id = await idOf(root, "app:1");
  const saved = join(work, "plain.tar");
  await slipway(["save", "-o", saved, "app:1"], { root });
  const compress = (program: string, input: Buffer) => execFileSync(program, ["-c"], { input });
  for (const program of ["gzip", "zstd", "bzip2", "xz"]) {
    const loaded = makeRoot();
    await slipway(["load"], { root: loaded, input: compress(program, readFileSync(saved)) });
    await assertIsImage(loaded, "app:1", id);

    // As docker's older archives are: without an index.json.
    const directory = mkdtempSync(join(work, "members-"));
    execFileSync("tar", ["-xf", saved, "-C", directory]);
    const [entry] = JSON.parse(readFileSync(join(directory, "manifest.json"), "utf8"));
    for (const layer of entry.Layers) {
      const path = join(directory, layer);
      writeFileSync(path, compress(program, gunzipSync(readFileSync(path))));
    }
    const archive = join(work, `layers.${program}.tar`);
    execFileSync("tar", ["-cf", archive, "-C", directory, "manifest.json", "blobs"]);
    const inside = makeRoot();
    await slipway(["load", "-i", archive], { root: inside });
    await assertIsImage(inside, "app:1", id);
    const layout = join(work, `layout-${program}`);
    await slipway(["copy", "-q", `docker-archive:${archive}`, `oci:${layout}:app`], { root });
    const [image] = await validateImageLayout(layout);
    const config: Descriptor = JSON.parse(JSON.stringify(image!.manifest.config));
    assert.equal(config.digest, id);
  }
});

test("archives that lie or are too old are refused with what is wrong", async () => {
  const root = makeRoot();
  await build(root, "app:1");
  const config = (diffId: string) =>
    JSON.stringify({ os: "linux", architecture: "amd64", rootfs: { type: "layers", diff_ids: [diffId] } });
  const manifest = (layers: readonly string[]) =>
    JSON.stringify([{ Config: "config.json", RepoTags: ["a:1"], Layers: layers }]);
  const wrong = `sha256:${"0".repeat(64)}`;
  for (const [name, members, message] of [
    ["old.tar", { repositories: "{}" }, /it is of a docker before 1\.10/],
    ["text.tar", { "manifest.json": "no" }, /its manifest\.json is no JSON/],
    ["list.tar", { "manifest.json": "{}" }, /its manifest\.json is no list/],
    ["missing.tar", { "manifest.json": manifest([]) }, /its config\.json cannot be read: ENOENT/],
    [
      "fewer.tar",
      { "manifest.json": manifest([]), "config.json": config(wrong) },
      /its config\.json lists other layers than manifest\.json/,
    ],
  ] as const) {
    const archive = makeArchive(name, members);
    for (const args of [
      ["load", "-i", archive],
      ["copy", `docker-archive:${archive}`, `oci:${join(work, "refused")}`],
    ]) {
      const { code, stderr } = await runSlipway(args, { root });
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.match(stderr, new RegExp(`Cannot use the docker archive ".*${name}"`));
    }
  }
  const archive = makeArchive("bytes.tar", {
    "manifest.json": manifest(["layer.tar"]),
    "config.json": config(wrong),
    "layer.tar": readFileSync(makeArchive("layer.tar", { f: "f" })).toString("latin1"),
  });
  const target = join(work, "not-there.tar");
  const copied = await runSlipway(["copy", `docker-archive:${archive}`, `docker-archive:${target}`], {
    root,
  });
  assert.match(copied.stderr, /its layer 1 has the digest sha256:.*, and its config says sha256:0000/);
  assert.ok(!existsSync(target));
  assert.equal((await runSlipway(["load", "-i", archive], { root })).code, 1);
  assert.doesNotMatch((await slipway(["images"], { root })).stdout, /^a\b/m);
});
