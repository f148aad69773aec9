import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { openLiveLog, openLiveLogReader } from "./live-log.ts";
import { openStore } from "./open-store.ts";

describe("a log that is written and read at once", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "slipway-live-log-"));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it("gives what has come, from the beginning, and says when it has ended", async () => {
    await using writing = openStore(root);
    await using reading = openStore(root);
    const place = { leaseId: writing.lease.id, key: "sha256:aa" };
    assert.equal(openLiveLogReader(reading, place), undefined);
    const log = openLiveLog(writing, "sha256:aa");
    log.add("stdout", Buffer.from("one\n"));
    using reader = openLiveLogReader(reading, place)!;
    const text = () => reader.read().map(({ stream, data }) => `${stream} ${data}`);
    assert.deepEqual(text(), ["stdout one\n"]);
    assert.deepEqual(text(), []);
    log.add("stderr", Buffer.from("two\n"));
    log.add("stdout", Buffer.alloc(0));
    assert.deepEqual(text(), ["stderr two\n", "stdout "]);
    assert.equal(reader.hasEnded(), false);
    log.add("stdout", Buffer.from("three\n"));
    log.end();
    log[Symbol.dispose]();
    // The file is gone; who has it open reads to the end.
    assert.equal(openLiveLogReader(reading, place), undefined);
    assert.deepEqual(text(), ["stdout three\n"]);
    assert.equal(reader.hasEnded(), true);
  });

  const isUser = process.getuid?.() !== 0 && "needs root, to mount a small file system";
  it("ends early on a full disk, and the step goes on", { skip: isUser }, async () => {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "small", root]);
    try {
      await using store = openStore(root);
      const key = "sha256:cc";
      using log = openLiveLog(store, key);
      const block = Buffer.alloc(300 << 10, "x");
      for (let count = 0; count < 10; count++) log.add("stdout", block);
      log.end();
      using reader = openLiveLogReader(store, { leaseId: store.lease.id, key })!;
      const whole = reader.read().map(({ data }) => Buffer.from(data).equals(block));
      assert.ok(whole.length > 0 && whole.length < 10, String(whole.length));
      assert.ok(whole.every((isWhole) => isWhole));
      assert.equal(reader.hasEnded(), false);
    } finally {
      execFileSync("umount", [root]);
    }
  });

  it("does not fill the disk", async () => {
    await using store = openStore(root);
    using log = openLiveLog(store, "sha256:bb");
    const block = Buffer.alloc(4 << 20);
    for (let count = 0; count < 12; count++) log.add("stdout", block);
    using reader = openLiveLogReader(store, { leaseId: store.lease.id, key: "sha256:bb" })!;
    const chunks = reader.read();
    assert.ok(chunks.reduce((sum, { data }) => sum + data.length, 0) <= (36 << 20) + 100);
    assert.match(String(chunks.at(-1)!.data), /not shown while it runs/);
  });
});
