import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { loadLibc } from "./libc.ts";
import { selectCopy } from "./select-copy.ts";
import { selectSmallCopy } from "./small-work.ts";

/** More than a tick of the clock that stamps files. */
const SETTLED_MS = 120;

const ignoreNothing = () => ({
  excludes: () => false,
  canSkipDirectory: () => false,
  findPattern: () => undefined,
});

describe("selectCopy() with digests of files that were read before", () => {
  let root: string;
  let context: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "slipway-digests-"));
    context = join(root, "context");
    mkdirSync(context);
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  /** The digest, and how many bytes were read for it. */
  const select = (fileDigestsPath?: string, path = "/") => {
    let readBytes = 0;
    const { contentDigest, selectionPath } = selectCopy(
      {
        sources: [
          { kind: "path", tree: { kind: "directory", directory: context, ignorePatterns: [] }, path },
        ],
        destination: "/",
        temporaryDirectory: root,
        ...(fileDigestsPath && { fileDigestsPath }),
      },
      {
        makeIgnoreMatcher: ignoreNothing,
        onProgress: (done) => {
          readBytes = done;
        },
      },
    );
    rmSync(selectionPath);
    return { contentDigest, readBytes };
  };
  const cached = (path?: string) => select(join(root, "digests.sqlite"), path);
  const write = (name: string, text: string) => writeFileSync(join(context, name), text);

  it("reads a file once, and again when it has changed", async () => {
    write("a", "12345");
    write("b", "123");
    await sleep(SETTLED_MS);
    assert.equal(cached().readBytes, 8);
    assert.deepEqual(cached(), { ...select(), readBytes: 0 });
    write("b", "321");
    assert.deepEqual(cached(), { ...select(), readBytes: 3 });
  });

  it("keeps what it knew of files beside those that are new", async () => {
    for (const directory of ["even", "odd"]) mkdirSync(join(context, directory));
    // By turns, so that neighbours on the disk are in different directories.
    for (let n = 0; n < 500; n++) write(`${n % 2 ? "odd" : "even"}/${n}`, `${n}`);
    await sleep(SETTLED_MS);
    const even = cached("/even");
    assert.ok(even.readBytes > 0);
    assert.ok(cached("/odd").readBytes > 0);
    assert.deepEqual(cached("/even"), { ...even, readBytes: 0 });
    assert.deepEqual(cached(), { ...select(), readBytes: 0 });
    write("odd/77", "other");
    assert.deepEqual(cached(), { ...select(), readBytes: 5 });
  });

  it("sees a change of the same size whose mtime was set back", async () => {
    write("a", "12345");
    await sleep(SETTLED_MS);
    cached();
    const { atime, mtime } = statSync(join(context, "a"));
    write("a", "54321");
    utimesSync(join(context, "a"), atime, mtime);
    assert.deepEqual(cached(), { ...select(), readBytes: 5 });
  });

  it("sees a file that another was renamed over", async () => {
    write("a", "12345");
    write("other", "abcde");
    await sleep(SETTLED_MS);
    cached();
    renameSync(join(context, "other"), join(context, "a"));
    assert.equal(cached().contentDigest, select().contentDigest);
  });

  it("sees every change that comes within a tick of the clock", () => {
    for (let n = 0; n < 300; n++) {
      write("a", String(n).padStart(5));
      assert.equal(cached().contentDigest, select().contentDigest, String(n));
    }
  });

  it("takes modes from the disk, not from before", async () => {
    write("a", "12345");
    await sleep(SETTLED_MS);
    const before = cached();
    chmodSync(join(context, "a"), 0o755);
    assert.notEqual(cached().contentDigest, before.contentDigest);
  });

  it("needs no thread for few files, and one for many, or for many bytes that must be read", async () => {
    const request = {
      sources: [
        { kind: "path", tree: { kind: "directory", directory: context, ignorePatterns: [] }, path: "/" },
      ],
      destination: "/",
      temporaryDirectory: root,
      fileDigestsPath: join(root, "digests.sqlite"),
    } as const;
    const small = () => {
      const found = selectSmallCopy(request, ignoreNothing);
      if (found !== undefined) rmSync(found.selectionPath);
      return found?.contentDigest;
    };
    mkdirSync(join(context, "directory"));
    write("directory/a", "12345");
    await sleep(SETTLED_MS);
    assert.equal(small(), cached().contentDigest);
    const large = "1".repeat(300_000);
    write("directory/a", large);
    await sleep(SETTLED_MS);
    assert.equal(small(), undefined);
    const { contentDigest } = cached();
    // It is as it was.
    assert.equal(small(), contentDigest);
    write("directory/a", large.replace("1", "2"));
    assert.equal(small(), undefined);
    write("directory/a", "54321");
    for (let n = 0; n < 300; n++) write(`directory/${n}`, "1");
    assert.equal(small(), undefined);
    // What was begun is not left.
    assert.deepEqual(readdirSync(root).sort(), ["context", "digests.sqlite"]);
  });

  it("sees attributes that come and go", async () => {
    write("a", "12345");
    await sleep(SETTLED_MS);
    const path = join(context, "a");
    const { contentDigest: without } = cached();
    assert.equal(cached().contentDigest, without);
    loadLibc().lsetxattr(path, "user.k", Buffer.from("v"));
    await sleep(SETTLED_MS);
    const { contentDigest: withOne } = cached();
    assert.notEqual(withOne, without);
    assert.equal(cached().contentDigest, withOne);
    loadLibc().lsetxattr(path, "user.k", Buffer.from("w"));
    await sleep(SETTLED_MS);
    assert.equal(new Set([without, withOne, cached().contentDigest]).size, 3);
    loadLibc().lremovexattr(path, "user.k");
    assert.equal(cached().contentDigest, without);
  });

  it("reads everything when the digests cannot be read", () => {
    write("a", "12345");
    writeFileSync(join(root, "digests.sqlite"), "garbage ".repeat(1000));
    assert.deepEqual(cached(), { ...select(), readBytes: 5 });
    assert.ok(existsSync(join(root, "digests.sqlite")));
  });
});
