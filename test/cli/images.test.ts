import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { MEDIA_TYPE } from "../../src/oci/media-type.ts";
import { archiveLayout, writeLayeredLayout } from "../layered-image.ts";
import { makeTar } from "../make-layers.ts";
import { serveFiles } from "../serve-files.ts";
import { runSlipway, slipway } from "../slipway.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";
import { validateImageLayout } from "../validate-image.ts";

const work = mkdtempSync(join(tmpdir(), "slipway-images-"));
after(() => rmSync(work, { recursive: true, force: true }));
const tar = join(work, "root.tar");

/** A store of its own for each test, with the image `tree:latest`. */
async function openStore(...args: readonly string[]) {
  const root = mkdtempSync(join(work, "store-"));
  const run = (...more: readonly string[]) => slipway(more, { root, cwd: work });
  const fail = async (...more: readonly string[]) => {
    const { code, stderr } = await runSlipway(more, { root, cwd: work });
    assert.equal(code, 1);
    return stderr;
  };
  const id = (await run("import", ...args, tar, "tree")).stdout.trim();
  return { root, run, fail, id };
}

before(() => {
  const tree = join(work, "tree");
  mkdirSync(join(tree, "etc"), { recursive: true });
  writeFileSync(join(tree, "etc/hello"), "hello\n", { mode: 0o640 });
  symlinkSync("hello", join(tree, "etc/link"));
  execFileSync("tar", ["-c", "-f", tar, "--owner=0", "--group=0", "-C", tree, "."]);
});

test("import makes a one-layer image, with the changes in its config", async () => {
  const changes = [
    "ENV A=b C=$A",
    "WORKDIR /w",
    'ENTRYPOINT ["/e"]',
    "CMD c",
    "EXPOSE 80",
    "LABEL l=1",
    "VOLUME /v",
    "USER u:g",
  ];
  const { run, id } = await openStore(...changes.flatMap((change) => ["--change", change]));
  const [described] = JSON.parse((await run("inspect", "tree")).stdout);
  assert.equal(described.Id, id);
  assert.deepEqual(described.RepoTags, ["tree:latest"]);
  const { Env, WorkingDir, Entrypoint, Cmd, ExposedPorts, Labels, Volumes, User } = described.Config;
  assert.deepEqual(
    { Env, WorkingDir, Entrypoint, Cmd, ExposedPorts, Labels, Volumes, User },
    {
      Env: ["A=b", "C="],
      WorkingDir: "/w",
      Entrypoint: ["/e"],
      Cmd: ["/bin/sh", "-c", "c"],
      ExposedPorts: { "80/tcp": {} },
      Labels: { l: "1" },
      Volumes: { "/v": {} },
      User: "u:g",
    },
  );
  assert.equal((await run("history", "--format", "json", "tree")).stdout.match(/Imported from/g)?.length, 1);
});

/** What docker takes. */
const COMPRESSORS = ["gzip", "zstd", "bzip2", "xz"] as const;

test("import takes compressed archives, on stdin and as a file", async () => {
  const { root, run } = await openStore();
  for (const program of COMPRESSORS) {
    const input = execFileSync(program, ["-c"], { input: readFileSync(tar) });
    await slipway(["import", "-", program], { root, input });
    assert.equal((await run("cat", `${program}:/etc/hello`)).stdout, "hello\n");
    const file = join(work, `root.${program}`);
    writeFileSync(file, input);
    await run("import", file, `${program}:file`);
    assert.equal((await run("cat", `${program}:file:/etc/hello`)).stdout, "hello\n");
  }
});

test("import takes a URL", async () => {
  await using server = await serveFiles(({ path }, response) => {
    if (path === "/tree.tar") response.end(readFileSync(tar));
    else response.writeHead(404).end();
  });
  const { run, fail } = await openStore();
  await run("import", `${server.url}/tree.tar`, "fetched");
  await run("import", tar, "read");
  const layers = ["inspect", "-f", "{{json .RootFS.Layers}}"];
  assert.equal((await run(...layers, "fetched")).stdout, (await run(...layers, "read")).stdout);
  assert.match(await fail("import", `${server.url}/none`), /Cannot download ".*\/none": .* answered 404/);
});

test("import refuses what is no archive and what is no change, and leaves nothing", async () => {
  const { run, fail } = await openStore();
  writeFileSync(join(work, "text"), "no archive ".repeat(100));
  assert.match(
    await fail("import", "text", "bad"),
    /^Error: Cannot use the layer ".*" of "text": Cannot read the tar archive/,
  );
  assert.match(await fail("import", "missing.tar", "bad"), /^Error: Cannot read "missing.tar"/);
  assert.match(
    await fail("import", "--change", "RUN true", tar, "bad"),
    /^Error: Cannot change the image with RUN: .*\n\n--change:2:1\n/,
  );
  assert.match(await fail("import", "--change", "ENVV a=b", tar, "bad"), /unknown instruction: ENVV/);
  assert.match(await fail("import", tar, "Bad"), /must be lowercase/);
  assert.doesNotMatch((await run("images")).stdout, /^bad\b/m);
});

test("images lists names, short ids and sizes, as a table and as JSON", async () => {
  const { run, id } = await openStore();
  await run("tag", "tree", "registry.example:5000/a/b:1");
  const table = (await run("images")).stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/ {3,}/));
  assert.deepEqual(table[0], ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
  const rows = table.slice(1).map(([repository, tag, shortId, , size]) => [repository, tag, shortId, size]);
  const size = readFileSync(tar).length;
  const shown = `${Number((size / 1000).toPrecision(3))}kB`;
  const short = id.slice(7, 19);
  assert.deepEqual(rows.sort(), [
    ["registry.example:5000/a/b", "1", short, shown],
    ["tree", "latest", short, shown],
  ]);
  const lines = (await run("images", "--format", "json", "tree")).stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.equal(lines.length, 1);
  const { Repository, Tag, ID, SizeBytes, CreatedAt } = lines[0];
  assert.deepEqual([Repository, Tag, ID, SizeBytes], ["tree", "latest", short, size]);
  assert.ok(Date.now() - Date.parse(CreatedAt) < 60_000);
  assert.equal((await run("images", "-q", "--no-trunc")).stdout, `${id}\n`);
});

test("tag gives another name, also by id, and refuses what is not there", async () => {
  const { run, fail, id } = await openStore();
  await run("tag", id.slice(7, 19), "x:1");
  await run("tag", "x:1", "y");
  assert.equal((await run("inspect", "-f", "{{.Id}}", "y:latest")).stdout, `${id}\n`);
  assert.match(
    await fail("tag", "tre", "z"),
    /^Error: Cannot find the image "tre": .*\n\nHint: Did you mean "tree:latest"\?/,
  );
  assert.match(await fail("tag", "tree", `z@${id}`), /digest/);
});

test("rmi removes a name, and the image with the last one", async () => {
  const { run, fail, id } = await openStore();
  await run("tag", "tree", "other");
  assert.equal((await run("rmi", "tree")).stdout, "Untagged: tree:latest\n");
  assert.equal((await run("rmi", "other")).stdout, `Untagged: other:latest\nDeleted: ${id}\n`);
  assert.equal((await run("images", "-q")).stdout, "");
  assert.match(await fail("rmi", "tree"), /Cannot find the image "tree"/);
});

test("rmi by id wants force for several names, and for a container that stands on it", async () => {
  const { run, fail, id } = await openStore();
  await run("tag", "tree", "other");
  assert.match(await fail("rmi", id), /the image has 2 names/);
  await run("rmi", "other");
  await run("container", "create", "--name", "box", "tree");
  assert.match(await fail("rmi", "tree"), /the container box stands on it/);
  assert.match((await run("rmi", "-f", "tree")).stdout, /Deleted: /);
  assert.equal((await run("ps", "-q")).stdout, "");
});

test("rmi goes on after a name that is not there", async () => {
  const { root, run } = await openStore();
  const { code, stdout } = await runSlipway(["rmi", "nope", "tree"], { root });
  assert.equal(code, 1);
  assert.match(stdout, /Untagged: tree:latest/);
  assert.equal((await run("images", "-q")).stdout, "");
  const forced = await runSlipway(["rmi", "-f", "nope"], { root });
  assert.equal(forced.code, 0);
  assert.match(forced.stderr, /Cannot find the image "nope"/);
});

test("image prune removes images without a name, with --all those that no container stands on", async () => {
  const { root, run, fail, id } = await openStore();
  const nameless = (await run("import", "-c", "LABEL a=b", tar)).stdout.trim();
  await run("import", "-c", "LABEL c=d", tar, "used");
  await run("container", "create", "--name", "box", "used");
  assert.match(await fail("image", "prune"), /Cannot ask whether .*\n\nHint: Add --force/);
  assert.equal(
    (await run("image", "prune", "-f", "--filter", "label=x")).stdout,
    "Total reclaimed space: 0B\n",
  );
  const pruned = await run("image", "prune", "--force");
  assert.equal(pruned.stdout, `Deleted Images:\ndeleted: ${nameless}\n\nTotal reclaimed space: 0B\n`);
  await run("tag", "tree", "other:1");
  const all = (await run("image", "prune", "-af", "--filter", "until=0")).stdout;
  assert.equal(
    all,
    `Deleted Images:\nuntagged: other:1\nuntagged: tree:latest\ndeleted: ${id}\n\nTotal reclaimed space: 0B\n`,
  );
  assert.match((await slipway(["images"], { root })).stdout, /^REPOSITORY.*\nused +latest /);
});

test("pull --all-tags pulls every image that the registry has of a name, and no artifact", {
  skip: registryMissing,
}, async () => {
  await using registry = await startRegistry();
  const { run } = await openStore();
  const name = `${registry.host}/a/tree`;
  for (const tag of ["1", "2"]) await run("tag", "tree", `${name}:${tag}`);
  await run("push", "--all-tags", "-q", name);
  // What a client without the referrers API leaves behind (distribution spec 1.1, "Referrers Tag Schema").
  const index = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: [] });
  const manifests = `http://${registry.host}/v2/a/tree/manifests`;
  const put = async (tag: string, mediaType: string, body: string) => {
    const headers = { "content-type": mediaType };
    const answer = await fetch(`${manifests}/${tag}`, { method: "PUT", headers, body });
    assert.equal(answer.status, 201);
  };
  await put(`sha256-${"0".repeat(64)}`, MEDIA_TYPE.ociIndex, index);
  // A signature as cosign stores it, with the config of an image, and an SBOM as oras does.
  const answer = await fetch(`${manifests}/1`, { headers: { accept: MEDIA_TYPE.ociManifest } });
  const { config } = (await answer.json()) as { config: { digest: string; size: number } };
  const artifact = (configType: string, layerType: string) =>
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociManifest,
      config: { ...config, mediaType: configType },
      layers: [{ ...config, mediaType: layerType }],
    });
  const cosign = artifact(MEDIA_TYPE.ociConfig, "application/vnd.dev.cosign.simplesigning.v1+json");
  await put(`sha256-${"0".repeat(64)}.sig`, MEDIA_TYPE.ociManifest, cosign);
  const oras = artifact("application/vnd.oci.empty.v1+json", MEDIA_TYPE.ociLayer);
  await put("1-sbom", MEDIA_TYPE.ociManifest, oras);
  const tree = mkdtempSync(join(work, "riscv-"));
  writeFileSync(join(tree, "Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n");
  await run("build", "-q", "--platform=linux/riscv64", "-t", `${name}:riscv`, "--push", tree);
  await run("build", "-q", "--platform=linux/riscv64", "-t", `${registry.host}/riscv:1`, "--push", tree);
  const other = join(mkdtempSync(join(work, "all-")), "store");
  const { stdout, stderr } = await slipway(["pull", "-a", name], { root: other });
  assert.equal(stdout, `${name}\n`);
  assert.match(
    stderr,
    /Left out: Cannot use ".*\.sig": it is an artifact of .*simplesigning.*, not an image/,
  );
  assert.match(stderr, /Left out: Cannot use ".*:1-sbom": it is an artifact of .*empty.*, not an image/);
  assert.match(stderr, /Left out: Cannot use ".*:riscv" for linux\/\w+: it is an image for linux\/riscv64/);
  const strange = await runSlipway(["pull", "-a", `${registry.host}/riscv`], { root: other });
  assert.equal(strange.code, 1);
  assert.match(
    strange.stderr,
    /Cannot pull all tags of ".*\/riscv": .* has no image of that name for linux\//,
  );
  const alone = await runSlipway(["pull", `${name}:1-sbom`], { root: other });
  assert.equal(alone.code, 1);
  const shown = await slipway(["images", "--format", "{{.Repository}}:{{.Tag}}"], { root: other });
  assert.deepEqual(shown.stdout.trim().split("\n").sort(), [`${name}:1`, `${name}:2`]);
  const tagged = await runSlipway(["pull", "-a", `${name}:1`], { root: other });
  assert.match(tagged.stderr, /Cannot pull all tags of ".*:1": it names one of them/);
  const missing = await runSlipway(["pull", "-a", `${registry.host}/none`], { root: other });
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /Cannot list the tags of ".*\/none"/);
});

test("push --all-tags pushes what the store has of a name", { skip: registryMissing }, async () => {
  await using registry = await startRegistry();
  const { run, fail } = await openStore();
  const name = `${registry.host}/a/tree`;
  for (const tag of ["1", "2"]) await run("tag", "tree", `${name}:${tag}`);
  await run("tag", "tree", `${name}2:3`);
  // docker's cli/command/image/push.go: quiet prints the reference alone.
  assert.equal((await run("push", "--all-tags", "-q", name)).stdout, `${name}\n`);
  assert.equal((await run("push", "-q", `${name}:1`)).stdout, `${name}:1\n`);
  const { stdout } = await run("push", "--all-tags", name);
  assert.match(stdout, /^1: digest: (\S+) size: \d+\n2: digest: \1 size: \d+\n$/);
  const answer = await fetch(`http://${registry.host}/v2/a/tree/tags/list`);
  const { tags } = (await answer.json()) as { tags: string[] };
  assert.deepEqual(tags.sort(), ["1", "2"]);
  // As docker remembers it.
  const digest = /^1: digest: (\S+)/.exec(stdout)![1]!;
  const shown = await run("images", "--digests", "--format", "{{.Tag}} {{.Digest}}", name);
  assert.deepEqual(shown.stdout.trim().split("\n").sort(), [`1 ${digest}`, `2 ${digest}`]);
  // What the registry has is the size that the layer has, compressed.
  const manifest = await fetch(`http://${registry.host}/v2/a/tree/manifests/1`, {
    headers: { accept: MEDIA_TYPE.ociManifest },
  });
  const { layers } = (await manifest.json()) as { layers: { size: number }[] };
  const measured = JSON.parse((await run("size", "--format", "json", `${name}:1`)).stdout);
  assert.equal(measured.layers[0].compressedBytes, layers[0]!.size);
  const inspected = await run("inspect", "-f", "{{json .RepoDigests}}", `${name}@${digest}`);
  assert.deepEqual(JSON.parse(inspected.stdout), [`${name}@${digest}`]);
  assert.match(await fail("push", "-a", `${name}:1`), /it names one of them/);
  assert.match(await fail("push", "-a", "nothing"), /the store has none/);
  // As docker 20.10 says it: the digest goes with the last name that it has in its repository.
  assert.equal((await run("rmi", `${name}:1`)).stdout, `Untagged: ${name}:1\n`);
  assert.equal((await run("rmi", `${name}:2`)).stdout, `Untagged: ${name}:2\nUntagged: ${name}@${digest}\n`);
});

test("save and load are inverse, and others read the archive", async () => {
  const { run, id } = await openStore("--change", "CMD x");
  const archive = join(work, "saved.tar");
  await run("save", "-o", archive, "tree");
  const [image] = await validateImageLayout(archive);
  assert.equal((image!.manifest.config as { digest: string }).digest, id);
  assert.equal(image!.layers[0]!.find(({ path }) => path === "etc/hello")?.content.toString(), "hello\n");
  const other = mkdtempSync(join(work, "store-"));
  const loaded = await slipway(["load", "-i", archive], { root: other });
  assert.equal(loaded.stdout, "Loaded image: tree:latest\n");
  const again = join(work, "again.tar");
  await slipway(["save", "-o", again, "tree"], { root: other });
  assert.deepEqual(readFileSync(again), readFileSync(archive));
  if (existsSync("/usr/bin/skopeo")) {
    const inspected = execFileSync("skopeo", ["inspect", "--config", `docker-archive:${archive}`], {
      encoding: "utf8",
    });
    assert.deepEqual(JSON.parse(inspected).config.Cmd, ["/bin/sh", "-c", "x"]);
  }
});

test("save needs no registry for an image that was pulled in two forms and is here in one", {
  skip: registryMissing,
}, async () => {
  const { run, id } = await openStore();
  const other = join(mkdtempSync(join(work, "forms-")), "store");
  const archive = join(work, "forms.tar");
  {
    await using registry = await startRegistry();
    const names = ["gzip", "zstd"].map((form) => `${registry.host}/${form}:1`);
    await run("tag", "tree", names[0]!);
    await run("push", "-q", names[0]!);
    execFileSync("skopeo", [
      ...["copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", "--format=oci"],
      ...["--dest-compress-format=zstd", "--dest-compress", `docker://${names[0]}`, `docker://${names[1]}`],
    ]);
    for (const name of names) await slipway(["pull", "-q", name], { root: other });
  }
  await slipway(["save", "-o", archive, id], { root: other });
  const loaded = join(mkdtempSync(join(work, "forms-")), "store");
  await slipway(["load", "-i", archive], { root: loaded });
  assert.equal((await slipway(["images", "-q", "--no-trunc"], { root: loaded })).stdout, `${id}\n`);
});

test("load takes the archives of other programs", {
  skip: !existsSync("/usr/bin/skopeo") && "needs skopeo",
}, async () => {
  const { run } = await openStore();
  const saved = join(work, "for-skopeo.tar");
  await run("save", "-o", saved, "tree");
  for (const [kind, name] of [
    ["docker-archive", "d:1"],
    ["oci-archive", "o:1"],
  ] as const) {
    const copy = join(work, `${kind}.tar`);
    execFileSync("skopeo", ["copy", "-q", `docker-archive:${saved}`, `${kind}:${copy}:${name}`]);
    const { root } = await openStore();
    const { stdout } = await slipway(["load"], { root, input: readFileSync(copy) });
    assert.match(stdout, /^Loaded image: [do]:1\n$/);
    assert.equal((await slipway(["cat", `${name}:/etc/hello`], { root })).stdout, "hello\n");
  }
});

test("load takes an image that says no time", {
  skip: !existsSync("/usr/bin/skopeo") && "needs skopeo",
}, async () => {
  const { run } = await openStore();
  const layout = join(work, "timeless");
  await writeLayeredLayout(layout, [[{ name: "f", content: "text" }]]);
  await archiveLayout(layout, `${layout}.tar`, "timeless:1");
  await run("load", "-i", `${layout}.tar`);
  assert.equal((await run("cat", "timeless:1:/f")).stdout, "text");
});

test("load refuses what is no image archive", async () => {
  const { fail } = await openStore();
  assert.match(
    await fail("load", "-i", tar),
    /neither index.json nor manifest.json\n\nHint: .*slipway import/,
  );
  assert.match(await fail("load", "-i", "missing"), /Cannot load "missing"/);
});

test("ls shows times that no calendar has", async () => {
  const { run } = await openStore();
  const late = join(work, "late.tar");
  writeFileSync(late, makeTar([{ name: "f", mtime: 2 ** 50 }]));
  await run("import", late, "late");
  assert.match((await run("ls", "-l", "late")).stdout, / 1125899906842624 s after 1970 f\n$/);
});

test("ls and cat look into an image without unpacking it", async () => {
  const { run, fail } = await openStore();
  assert.equal((await run("ls", "tree")).stdout, "etc\n");
  assert.equal((await run("ls", "-R", "tree:latest:/")).stdout, "etc\netc/hello\netc/link\n");
  assert.match(
    (await run("ls", "-l", "tree:/etc")).stdout,
    /^-rw-r----- +0 +0 +6 \d{4}-\d\d-\d\d \d\d:\d\d hello\nlrwxrwxrwx .* link -> hello\n$/,
  );
  const listed = (await run("ls", "-R", "--format", "json", "tree")).stdout.trim().split("\n");
  const [, hello, link] = listed.map((line) => JSON.parse(line));
  assert.deepEqual([hello.path, hello.type, hello.mode, hello.sizeBytes], ["/etc/hello", "file", "0640", 6]);
  assert.match(hello.modified, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{9})?Z$/);
  assert.deepEqual([link.type, link.linkTarget], ["symlink", "hello"]);
  assert.equal((await run("cat", "tree:/etc/link")).stdout, "hello\n");
  assert.match(await fail("cat", "tree:/etc/no"), /Cannot find "\/etc\/no" in "tree"/);
  assert.match(await fail("cat", "tree:/etc"), /it is a directory/);
});

test("push and pull carry an image over a registry, with its digest", { skip: registryMissing }, async () => {
  await using registry = await startRegistry();
  const { run, id } = await openStore();
  const name = `${registry.host}/a/tree:1`;
  await run("tag", "tree", name);
  const pushed = /^1: digest: (sha256:[0-9a-f]{64}) size: \d+\n$/.exec((await run("push", name)).stdout);
  assert.ok(pushed);
  const root = mkdtempSync(join(work, "store-"));
  assert.equal((await slipway(["pull", "-q", name], { root })).stdout, `${name}\n`);
  const described = JSON.parse((await slipway(["inspect", name], { root })).stdout)[0];
  assert.equal(described.Id, id);
  assert.deepEqual(described.RepoDigests, [`${registry.host}/a/tree@${pushed[1]}`]);
  assert.equal((await slipway(["cat", `${name}:/etc/hello`], { root })).stdout, "hello\n");
  await slipway(["tag", name, `${registry.host}/a/tree:2`], { root });
  assert.match(
    (await slipway(["push", `${registry.host}/a/tree:2`], { root })).stdout,
    new RegExp(`digest: ${pushed[1]}`),
  );
  const missing = await runSlipway(["pull", `${registry.host}/a/tree:3`], { root });
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /Error: Cannot pull/);

  // As docker has it: beside a digest a tag counts for nothing.
  const pinned = `${name}@${pushed[1]}`;
  assert.equal((await slipway(["pull", "-q", pinned], { root })).stdout, `${pinned}\n`);
  await slipway(["rmi", name], { root });
  const shown = await slipway(["images", "--format", "{{.Repository}} {{.Tag}}"], { root });
  const repository = `${registry.host}/a/tree`;
  assert.deepEqual(shown.stdout.trim().split("\n").sort(), [`${repository} 2`]);
  const removed = await slipway(["rmi", pinned], { root });
  assert.equal(removed.stdout, `Untagged: ${repository}@${pushed[1]}\n`);
  await slipway(["inspect", `${repository}:2`], { root });
  await slipway(["pull", "-q", pinned], { root });
  await slipway(["rmi", `${repository}:2`], { root });
  for (const wanted of [repository, `${repository}@${pushed[1]}`]) {
    const { stdout } = await slipway(["images", "--format", "{{.Tag}}", wanted], { root });
    assert.equal(stdout, "<none>\n");
  }
});
