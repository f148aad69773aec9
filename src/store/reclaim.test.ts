import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { hasBlob, temporaryPath, writeBlob } from "./blobs.ts";
import { findLayer, findMaterialised, publishLayer, publishMaterialised } from "./layers.ts";
import { openStore, type Store } from "./open-store.ts";
import { reclaim } from "./reclaim.ts";
import { findRecord, writeRecord } from "./records.ts";

describe("reclaim()", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "slipway-reclaim-"));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  /** Made by a process that has ended. */
  const fill = async () => {
    await using store = openStore(root);
    for (const id of ["a", "b"]) addStep(store, id);
    const digest = await writeBlob(store, Buffer.from("blob"));
    publishMaterialised(store, { key: "m", layerId: "a", directory: makeDirectory(store) });
    // The clock of rows has milliseconds.
    await sleep(3);
    return digest;
  };

  it("takes everything that nobody needs, rows and files", async () => {
    const digest = await fill();
    await using store = openStore(root);
    await sleep(3);
    const { items, freedBytes } = await reclaim(store, { all: true });
    assert.deepEqual(items.map(({ kind }) => kind).sort(), ["blob", "step-layer", "step-layer"]);
    assert.ok(freedBytes > 0);
    assert.equal(findRecord(store, "key of a"), undefined);
    assert.equal(findMaterialised(store, "m"), undefined);
    assert.equal(hasBlob(store, digest), false);
    for (const folder of ["layers", "m", "blobs/sha256"])
      assert.deepEqual(readdirSync(join(root, folder)), []);
    assert.deepEqual(readdirSync(store.temporaryDirectory), []);
  });

  const uses: Readonly<Record<string, (store: Store, digest: Awaited<ReturnType<typeof fill>>) => unknown>> =
    {
      "a record": (store) => findRecord(store, "key of a"),
      "a layer": (store) => findLayer(store, "a"),
      "an unpacked layer": (store) => findMaterialised(store, "m"),
      "a blob": (store, digest) => hasBlob(store, digest),
    };
  for (const [what, use] of Object.entries(uses)) {
    it(`leaves ${what} that a living process has looked up, until that ends`, async () => {
      const digest = await fill();
      const user = openStore(root);
      assert.ok(use(user, digest));
      await sleep(3);
      await using store = openStore(root);
      await sleep(3);
      await reclaim(store, { all: true });
      assert.ok(use(user, digest), "the look-up finds it still");
      await user[Symbol.asyncDispose]();
      await reclaim(store, { all: true });
      await using after = openStore(root);
      assert.ok(!use(after, digest));
    });
  }

  it("finds nothing that went before the look-up", async () => {
    const digest = await fill();
    const user = openStore(root);
    await using store = openStore(root);
    await sleep(3);
    await reclaim(store, { all: true });
    for (const [what, use] of Object.entries(uses)) assert.ok(!use(user, digest), what);
    await user[Symbol.asyncDispose]();
  });

  it("takes what a process left that was killed while it removed things", async () => {
    await using store = openStore(root);
    mkdirSync(store.layerPath("half"));
    writeFileSync(join(store.layerPath("half"), "file"), "");
    const { items } = await reclaim(store, {});
    assert.deepEqual(
      items.map(({ kind, id }) => [kind, id]),
      [["leftover", "half"]],
    );
    assert.ok(!existsSync(store.layerPath("half")));
  });

  it("goes on until the store is as small as it should be, the least recently used first", async () => {
    await fill();
    {
      await using user = openStore(root);
      assert.ok(findRecord(user, "key of a"));
      await sleep(3);
    }
    await using store = openStore(root);
    await sleep(3);
    const { leftBytes } = await reclaim(store, { maxBytes: Number.MAX_SAFE_INTEGER });
    const { items } = await reclaim(store, { maxBytes: leftBytes - 1 });
    // A blob is as old as it is; of the layers b is older.
    assert.ok(!items.some(({ id }) => id === "a"), JSON.stringify(items));
    assert.ok(items.length > 0 && statSync(store.layerPath("a")).isDirectory());
  });
});

function addStep(store: Store, id: string): void {
  publishLayer(store, { id, kind: "directory" }, makeDirectory(store));
  writeRecord(store, { id, layerId: id, created: 1 }, [{ key: `key of ${id}`, parts: '{"kind":"run"}' }]);
}

function makeDirectory(store: Store): string {
  const directory = temporaryPath(store);
  mkdirSync(directory);
  writeFileSync(join(directory, "index"), Buffer.alloc(10_000, 1));
  return directory;
}
