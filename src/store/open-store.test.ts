import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, it } from "node:test";
import { BuildError } from "../errors/build-error.ts";
import type { Digest } from "../oci/digest.ts";
import { recordBlobOrigins } from "./blob-origins.ts";
import { hasBlob, readBlob, temporaryPath, writeBlob } from "./blobs.ts";
import { makeDurable } from "./durability.ts";
import { findTag, writeImage, writeTag } from "./images.ts";
import { findLayer, findMaterialised, publishLayer, publishMaterialised } from "./layers.ts";
import { openStore, type Store } from "./open-store.ts";
import { findRecord, writeRecord } from "./records.ts";

describe("a store", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "slipway-store-"));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it("keeps a blob under its digest", async () => {
    await using store = openStore(root);
    const digest = await writeBlob(store, Buffer.from("hello"));
    assert.equal(digest, "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert.equal((await readBlob(store, digest)).toString(), "hello");
    assert.deepEqual(readdirSync(store.temporaryDirectory), []);
  });

  it("notices a blob whose bytes have changed", async () => {
    await using store = openStore(root);
    const digest = await writeBlob(store, Buffer.from("hello"));
    writeFileSync(store.blobPath(digest), "jello");
    await assert.rejects(
      readBlob(store, digest),
      (error) => error instanceof BuildError && error.code === "store",
    );
  });

  it("leaves no temporary directory behind when it is closed", async () => {
    const store = openStore(root);
    writeFileSync(temporaryPath(store), "half");
    await store[Symbol.asyncDispose]();
    assert.deepEqual(readdirSync(join(root, "tmp")), []);
  });

  it("removes what a killed process left, and nothing of a living one", async () => {
    await using living = openStore(root);
    const script = `
      import { openStore } from ${JSON.stringify(import.meta.resolve("./open-store.ts"))};
      import { writeFileSync } from "node:fs";
      const store = openStore(${JSON.stringify(root)});
      writeFileSync(store.temporaryDirectory + "/half", "half");
      console.log(store.lease.id);
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [id] = await once(child.stdout.setEncoding("utf8"), "data");
    const left = join(root, "tmp", id.trim());
    assert.ok(existsSync(join(left, "half")));
    await openStore(root)[Symbol.asyncDispose]();
    assert.ok(existsSync(left), "a living process lost its files");
    child.kill("SIGKILL");
    await once(child, "exit");
    await openStore(root)[Symbol.asyncDispose]();
    assert.ok(!existsSync(left));
    assert.ok(existsSync(living.temporaryDirectory));
  });

  it("refuses a store that a newer slipway made", async () => {
    await openStore(root)[Symbol.asyncDispose]();
    const database = new DatabaseSync(join(root, "db.sqlite"));
    database.exec("PRAGMA user_version = 4711");
    database.close();
    assert.throws(() => openStore(root), /newer slipway made it/);
  });

  it("gives a store of an older slipway the tables that it lacks", async () => {
    await openStore(root)[Symbol.asyncDispose]();
    const database = new DatabaseSync(join(root, "db.sqlite"));
    // What the first version had not.
    for (const table of [
      "downloads",
      "git_repositories",
      "blob_origins",
      "uses",
      "sizes",
      "failed_logs",
      "logs",
      "build_steps",
      "built_images",
      "builds",
      "file_lists",
    ])
      database.exec(`DROP TABLE ${table}`);
    database.exec("ALTER TABLE leases DROP COLUMN started");
    database.exec("ALTER TABLE layer_blobs DROP COLUMN tar_bytes");
    database.exec("PRAGMA user_version = 1");
    database.close();
    await using store = openStore(root);
    assert.equal(store.database.prepare("SELECT count(*) AS n FROM downloads").get()!.n, 0);
  });

  it("publishes a layer once, whoever is first", async () => {
    await using one = openStore(root);
    await using other = openStore(root);
    for (const store of [one, other]) {
      const directory = makeLayerDirectory(store);
      publishLayer(
        store,
        { id: "same", kind: "tar", diffId: `sha256:${"a".repeat(64)}`, sizeBytes: 7 },
        directory,
      );
      assert.ok(!existsSync(directory));
    }
    assert.deepEqual(findLayer(one, "same"), {
      id: "same",
      kind: "tar",
      diffId: `sha256:${"a".repeat(64)}`,
      sizeBytes: 7,
    });
    assert.deepEqual(readdirSync(join(root, "layers/same")), ["index"]);
  });

  it("replaces the files of a layer whose row was lost with a power cut", async () => {
    await using store = openStore(root);
    mkdirSync(store.layerPath("torn"));
    writeFileSync(join(store.layerPath("torn"), "garbage"), "");
    publishLayer(store, { id: "torn", kind: "directory" }, makeLayerDirectory(store));
    assert.deepEqual(readdirSync(store.layerPath("torn")), ["index"]);
  });

  it("gives one directory to all who materialise the same key", async () => {
    await using store = openStore(root);
    const first = publishMaterialised(store, {
      key: "k",
      layerId: "l",
      directory: makeLayerDirectory(store),
    });
    const second = publishMaterialised(store, {
      key: "k",
      layerId: "l",
      directory: makeLayerDirectory(store),
    });
    assert.equal(first, second);
    assert.equal(findMaterialised(store, "k"), first);
    assert.match(first, /\/m\/[0-9a-z]{1,4}$/);
  });

  it("forgets after another boot what no sync had covered", async () => {
    {
      await using store = openStore(root);
      keepRecordOf(store, "covered");
      await makeDurable(store);
      keepRecordOf(store, "uncovered");
    }
    const database = new DatabaseSync(join(root, "db.sqlite"));
    for (const table of ["layers", "records"])
      database.exec(`UPDATE ${table} SET boot_id = 'an earlier boot'`);
    database.close();
    await using store = openStore(root);
    assert.equal(findRecord(store, "key of covered")?.layerId, "covered");
    assert.equal(findRecord(store, "key of uncovered"), undefined);
    assert.equal(findLayer(store, "uncovered"), undefined);
  });

  it("does not wait for a layer that a registry has, until the kernel has had a minute to write it", async () => {
    await using store = openStore(root);
    const digest = `sha256:${"1".repeat(64)}` as const;
    const origin = { digest, registry: "registry.test", repository: "base", mediaType: "m", size: 1 };
    recordBlobOrigins(store, [{ ...origin, diffId: `sha256:${"2".repeat(64)}` }]);
    keepRecordOf(store, "fetched", `sha256:${"2".repeat(64)}`);
    keepRecordOf(store, "made");
    const unsynced = () =>
      ["layers", "records"].map((table) =>
        store.database
          .prepare(`SELECT id FROM ${table} WHERE durable = 0`)
          .all()
          .map(({ id }) => id),
      );
    await makeDurable(store);
    assert.deepEqual(unsynced(), [["fetched"], ["fetched"]]);
    store.database.exec("UPDATE layers SET created = created - 60001");
    await makeDurable(store);
    assert.deepEqual(unsynced(), [[], []]);
  });

  it("syncs a layer of many files, and directories that were made of layers", async () => {
    await using store = openStore(root);
    const directory = makeLayerDirectory(store);
    for (let n = 0; n < 100; n++) writeFileSync(join(directory, String(n)), "");
    publishLayer(store, { id: "many", kind: "directory" }, directory);
    publishMaterialised(store, { key: "k", layerId: "many", directory: makeLayerDirectory(store) });
    await makeDurable(store);
    for (const table of ["layers", "materialised"])
      assert.deepEqual(store.database.prepare(`SELECT durable FROM ${table}`).get()!.durable, 1, table);
  });

  it("leaves SQLite's log where it is when it closes, also the last one, and reads it when it opens", async () => {
    const tag = {
      name: "docker.io/library/a:1",
      platform: "linux/amd64",
      configDigest: `sha256:${"1".repeat(64)}`,
    } as const;
    {
      await using store = openStore(root);
      await using other = openStore(root);
      writeImage(store, { ...tag, sizeBytes: 1, created: 1 });
      writeTag(other, { ...tag, updated: 1 });
    }
    assert.ok(statSync(join(root, "db.sqlite-wal")).size > 0);
    await using store = openStore(root);
    assert.equal(findTag(store, tag.name, tag.platform)?.configDigest, tag.configDigest);
    assert.equal(store.database.prepare("SELECT count(*) AS n FROM leases").get()!.n, 1);
  });

  it("has no record whose layer is gone", async () => {
    await using store = openStore(root);
    keepRecordOf(store, "gone");
    store.database.exec("DELETE FROM layers");
    assert.equal(findRecord(store, "key of gone"), undefined);
  });

  it("takes writes from several processes at once", { timeout: 60_000 }, async () => {
    await openStore(root)[Symbol.asyncDispose]();
    const script = `
      import { openStore } from ${JSON.stringify(import.meta.resolve("./open-store.ts"))};
      import { writeRecord } from ${JSON.stringify(import.meta.resolve("./records.ts"))};
      import { writeBlob } from ${JSON.stringify(import.meta.resolve("./blobs.ts"))};
      await using store = openStore(${JSON.stringify(root)});
      for (let n = 0; n < 200; n++) {
        writeRecord(store, { id: process.pid + "-" + n, layerId: "l", created: n }, [{ key: "k" + n, parts: "{}" }]);
        if (n % 20 === 0) await writeBlob(store, Buffer.from("blob " + n));
      }`;
    const children = Array.from({ length: 4 }, () =>
      spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "inherit" }),
    );
    const codes = await Promise.all(children.map(async (child) => (await once(child, "exit"))[0]));
    assert.deepEqual(codes, [0, 0, 0, 0]);
    await using store = openStore(root);
    assert.equal(store.database.prepare("SELECT count(*) AS n FROM records").get()!.n, 800);
    assert.equal(store.database.prepare("SELECT count(*) AS n FROM keys").get()!.n, 200);
    assert.ok(hasBlob(store, await writeBlob(store, Buffer.from("blob 180"))));
  });
});

function makeLayerDirectory(store: Store): string {
  const directory = temporaryPath(store);
  mkdirSync(directory);
  writeFileSync(join(directory, "index"), "");
  return directory;
}

function keepRecordOf(store: Store, id: string, diffId?: Digest): void {
  publishLayer(store, { id, kind: "directory", ...(diffId && { diffId }) }, makeLayerDirectory(store));
  writeRecord(store, { id, layerId: id, created: 1 }, [{ key: `key of ${id}`, parts: "{}" }]);
}
