import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import {
  addTag,
  BuildError,
  type BuildEvent,
  build,
  copyFromContainer,
  copyImage,
  createContainer,
  diffImages,
  findImage,
  forgetBuilds,
  importImage,
  inspectContainer,
  inspectImage,
  type LayeredChange,
  type ListedFile,
  listBuilds,
  listContainers,
  listFiles,
  listHistory,
  listImages,
  listStoreItems,
  loadImages,
  measureImage,
  openFile,
  openSession,
  predictBuild,
  pruneImages,
  pruneStore,
  pullImage,
  pushAllTags,
  pushImage,
  readBuild,
  readBuildLogs,
  removeContainer,
  removeImage,
  runImage,
  type SessionOptions,
  saveImages,
  verifyStore,
} from "../../src/index.ts";
import { openBuildBench, runMissing } from "../build-bench.ts";
import { makeTar } from "../make-layers.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";

const work = mkdtempSync(join(tmpdir(), "slipway-operations-"));
after(() => rmSync(work, { recursive: true, force: true }));

/** A store of its own. */
function open(options: SessionOptions = {}) {
  return openSession({ root: mkdtempSync(join(work, "store-")), ...options });
}

const TREE = makeTar([
  { name: "etc/" },
  { name: "etc/motd", content: "Hello\n", mode: 0o640, uid: 7, gid: 8 },
  { name: "etc/link", type: "symlink", linkName: "motd", mode: 0o777 },
]);

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  return await Array.fromAsync(values);
}

describe("the library's operations", () => {
  test("import, tags, filters and removal", async () => {
    await using session = open();
    const id = await importImage(session, Readable.from([TREE]), {
      name: "tree",
      changes: ["LABEL stage=test"],
      message: "by hand",
    });
    addTag(session, "tree", "tree:2");
    const names = async (filters: Parameters<typeof listImages>[1]) =>
      (await listImages(session, filters)).map(({ repository, tag }) => `${repository}:${tag}`).sort();
    assert.deepEqual(await names({}), ["tree:2", "tree:latest"]);
    assert.deepEqual(await names({ name: "tree:latest" }), ["tree:latest"]);
    assert.deepEqual(await names({ references: ["*:2"] }), ["tree:2"]);
    assert.deepEqual(await names({ labels: ["stage=test"], name: "tree:2" }), ["tree:2"]);
    assert.deepEqual(await names({ labels: ["stage=other"] }), []);
    assert.deepEqual(await names({ since: ["tree"] }), []);
    assert.deepEqual(await names({ isDangling: true }), []);
    const { config, tags } = await inspectImage(session, "tree");
    assert.deepEqual([config.config?.Labels, tags.length], [{ stage: "test" }, 2]);
    assert.deepEqual(
      (await listHistory(session, id)).steps.map(({ comment }) => comment),
      ["by hand"],
    );
    assert.deepEqual(removeImage(session, "tree:2"), { untagged: ["tree:2"], deleted: [] });
    assert.deepEqual(await pruneImages(session, { all: true }), [
      { untagged: ["tree:latest"], deleted: [id] },
    ]);
    assert.throws(
      () => findImage(session, "tree"),
      (error) => error instanceof BuildError && error.code === "image-not-found",
    );
  });

  test("files of images, their sizes, and what differs between two", async () => {
    await using session = open();
    await importImage(session, Readable.from([TREE]), { name: "one" });
    const other = makeTar([{ name: "etc/" }, { name: "etc/motd", content: "Bye\n", uid: 7, gid: 8 }]);
    await importImage(session, Readable.from([other]), { name: "two" });
    const show = ({ path, name, type, mode, uid, linkTarget }: ListedFile) =>
      [path, name, type, mode.toString(8), uid, linkTarget].join(" ").trim();
    assert.deepEqual((await collect(listFiles(session, "one", { path: "/etc" }))).map(show), [
      "/etc/link link symlink 777 0 motd",
      "/etc/motd motd file 640 7",
    ]);
    assert.deepEqual(
      (await collect(listFiles(session, "one", { isRecursive: true }))).map(({ name }) => name),
      ["etc", "etc/link", "etc/motd"],
    );
    assert.equal(await text(await openFile(session, "one", { path: "/etc/link" })), "Hello\n");
    await assert.rejects(openFile(session, "one", { path: "/etc" }), /Cannot read "\/etc" in "one"/);
    const describe = (change: LayeredChange) =>
      change.kind === "removed" ? `- ${change.before.path}` : `${change.kind} ${change.after.path}`;
    const changes = await collect(diffImages(session, ["one", "two"]));
    assert.deepEqual(changes.map(describe), ["- /etc/link", "changed /etc/motd"]);
    assert.deepEqual(
      changes.flatMap((change) => (change.kind === "changed" ? change.what : [])),
      ["content", "mode"],
    );
    const { sizeBytes, layers } = await measureImage(session, "one");
    assert.deepEqual([sizeBytes, layers.map(({ fileCount }) => fileCount)], [6, [2]]);
  });

  test("archives go from one store into another, as a stream", async () => {
    await using one = open();
    await using other = open();
    const id = await importImage(one, Readable.from([TREE]), { name: "tree" });
    const pieces: Uint8Array[] = [];
    const output = new Writable({
      write(piece, _, done) {
        pieces.push(piece);
        done();
      },
    });
    await saveImages(one, ["tree"], { output });
    assert.deepEqual(await loadImages(other, Readable.from(pieces)), [{ id, names: ["tree:latest"] }]);
    assert.equal((await inspectImage(other, "tree")).configDigest, id);
  });

  test("containers", async () => {
    await using session = open();
    await importImage(session, Readable.from([TREE]), { name: "tree" });
    const id = await createContainer(session, "tree", { name: "box" });
    await assert.rejects(createContainer(session, "tree", { name: "box" }), { code: "not-permitted" });
    assert.deepEqual(
      listContainers(session).map(({ name, image }) => [name, image]),
      [["box", "tree:latest"]],
    );
    assert.equal((await inspectContainer(session, "box"))?.id, id);
    await copyFromContainer(session, "box", { path: "/etc/motd", destination: work });
    assert.equal(readFileSync(join(work, "motd"), "utf8"), "Hello\n");
    assert.throws(() => removeImage(session, "tree"), { code: "not-permitted" });
    assert.equal(removeContainer(session, "box"), true);
    assert.equal(removeContainer(session, "box", { force: true }), false);
    assert.throws(() => removeContainer(session, "box"), { code: "image-not-found" });
  });

  test("the store is listed, pruned and verified", async () => {
    const root = mkdtempSync(join(work, "store-"));
    {
      await using session = openSession({ root });
      await importImage(session, Readable.from([TREE]), { name: "tree" });
      assert.ok((await listStoreItems(session)).some(({ kind }) => kind === "image-layer"));
      assert.deepEqual(await verifyStore(session, {}), []);
      removeImage(session, "tree");
    }
    // What a session has used stays as long as it is open.
    await using session = openSession({ root });
    const { items } = await pruneStore(session, { all: true });
    assert.ok(items.some(({ kind }) => kind === "image-layer"));
  });

  test("what a session cannot do any more ends with the signal's reason", async () => {
    const stop = new AbortController();
    await using session = open({ signal: stop.signal });
    await importImage(session, Readable.from([TREE]), { name: "tree" });
    stop.abort(new Error("enough"));
    await assert.rejects(text(await openFile(session, "tree", { path: "/etc/motd" })));
  });
});

describe("the library's operations with registries", { skip: registryMissing }, () => {
  test("push, pull and copy", async () => {
    await using registry = await startRegistry();
    const events: BuildEvent[] = [];
    await using session = open({ emit: (event) => events.push(event) });
    const id = await importImage(session, Readable.from([TREE]), { name: `${registry.host}/a:1` });
    addTag(session, `${registry.host}/a:1`, `${registry.host}/a:2`);
    const { descriptor, tag } = await pushImage(session, `${registry.host}/a:1`);
    assert.deepEqual([tag, (await collect(pushAllTags(session, `${registry.host}/a`))).length], ["1", 2]);
    assert.ok(events.some(({ kind }) => kind === "end"));
    await using other = open();
    assert.equal(await pullImage(other, `${registry.host}/a:2`), id);
    const to = `oci:${join(work, "layout")}:1`;
    assert.equal((await copyImage(other, { from: `${registry.host}/a:1`, to })).digest, descriptor.digest);
    assert.ok(existsSync(join(work, "layout/index.json")));
    await assert.rejects(copyImage(other, { from: to, to }, { withReferrers: true }), {
      code: "option-invalid",
    });
  });
});

describe("the library's operations after a build", { skip: runMissing }, () => {
  test("builds are remembered with what they printed; a command runs in their image", async () => {
    using bench = await openBuildBench();
    const options = {
      root: bench.root,
      context: bench.context({ Dockerfile: "FROM busybox\nRUN echo said\n" }),
    };
    const predicted = async () => (await predictBuild(options)).map(({ outcome }) => outcome);
    assert.deepEqual(await predicted(), ["run"]);
    await build({ ...options, tags: ["app"] }).result;
    assert.deepEqual(await predicted(), ["hit"]);
    await using session = openSession({ root: bench.root });
    const { id, outcome, steps } = readBuild(session);
    assert.deepEqual(
      [outcome, steps.at(-1)!.name, steps.at(-1)!.parts.kind],
      ["done", "RUN echo said", "run"],
    );
    const lines: string[] = [];
    const end = await readBuildLogs(session, id.slice(0, 6), { onLines: (_, some) => lines.push(...some) });
    assert.deepEqual([end, lines], ["done", ["said"]]);
    assert.deepEqual(forgetBuilds(session), [id]);
    assert.deepEqual(listBuilds(session), []);

    const output: Uint8Array[] = [];
    const { exitCode } = await runImage(session, "app", {
      args: ["sh", "-c", "echo $GREETING; exit 5"],
      env: { GREETING: "hello" },
      onOutput: (_, data) => output.push(data),
    });
    assert.deepEqual([exitCode, (await buffer(Readable.from(output))).toString()], [5, "hello\n"]);
  });
});
