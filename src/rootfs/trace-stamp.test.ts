import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { diskPath } from "./disk-path.ts";
import type { RootfsPath } from "./entry.ts";
import { loadLibc } from "./libc.ts";
import { type Looker, openLooker, STAMP_BYTES, writeStamp } from "./trace-stamp.ts";

const skip = process.platform === "linux" ? false : "needs Linux";

for (const isLong of [false, true]) {
  describe(`a path that is looked at again, ${isLong ? "by statx" : "by lstat"}`, { skip }, () => {
    let root: string;
    let looker: Looker;
    before(() => {
      root = mkdtempSync(join(tmpdir(), "slipway-stamp-"));
      mkdirSync(join(root, "real"));
      symlinkSync("real", join(root, "context"));
      for (const name of ["file", "é", "old", "changed", "other"])
        writeFileSync(join(root, "real", name), name);
      symlinkSync("nowhere", join(root, "real/link"));
      symlinkSync("loop", join(root, "real/loop"));
      // Before 1970, with a fraction.
      loadLibc().lutimens(join(root, "real/old"), -5, 250_000_000);
      looker = openLooker(join(root, "context"), { isLong });
    });
    after(() => {
      looker[Symbol.dispose]();
      rmSync(root, { recursive: true, force: true });
    });

    const isThere = (path: string) => {
      // Not at the beginning, not at the end.
      const piece = Buffer.from(`..${path}\0..`);
      return looker.isThere(piece, 2, piece.length - 3);
    };
    const stampOf = (path: string | Buffer) => {
      const view = new DataView(new ArrayBuffer(STAMP_BYTES + 3));
      writeStamp(view, 3, lstatSync(path, { bigint: true }));
      return view;
    };

    it("has its stamp, and no other one", () => {
      for (const name of ["file", "é", "old", "link"]) {
        assert.ok(isThere(name), name);
        assert.ok(looker.hasStamp(stampOf(join(root, "real", name)), 3), name);
        assert.ok(!looker.hasStamp(stampOf(join(root, "real/other")), 3), name);
      }
    });

    it("has another one when it was changed", () => {
      const path = join(root, "real/changed");
      const stamp = stampOf(path);
      chmodSync(path, 0o600);
      assert.ok(isThere("changed"));
      assert.ok(!looker.hasStamp(stamp, 3));
    });

    it("has another one when any word of it is another", () => {
      for (let at = 3; at < 3 + STAMP_BYTES; at += 4) {
        const stamp = stampOf(join(root, "real/file"));
        stamp.setInt32(at, stamp.getInt32(at) ^ 1);
        assert.ok(isThere("file"));
        assert.ok(!looker.hasStamp(stamp, 3), `byte ${at}`);
      }
    });

    it("is the directory itself, when it is empty, also where that is a link", () => {
      assert.ok(isThere(""));
      assert.ok(looker.hasStamp(stampOf(join(root, "context")), 3));
      assert.ok(!looker.hasStamp(stampOf(join(root, "real")), 3));
    });

    it("is not there, or cannot be looked at", () => {
      assert.ok(!isThere("nothing"));
      assert.throws(() => isThere("file/below"), { code: "ENOTDIR" });
      assert.throws(() => isThere("loop/below"), { code: "ELOOP" });
      assert.throws(() => isThere("n".repeat(256)), { code: "ENAMETOOLONG" });
    });

    it("may be longer than what a call takes", () => {
      const directory = join(root, "real");
      let path = "d".repeat(200) as RootfsPath;
      for (let depth = 0; depth < 21; depth++) {
        const onDisk = diskPath(directory, path);
        if (!existsSync(onDisk)) mkdirSync(onDisk);
        path = `${path}/${"d".repeat(200)}` as RootfsPath;
      }
      writeFileSync(diskPath(directory, path), "");
      assert.ok(isThere(path));
      assert.ok(looker.hasStamp(stampOf(diskPath(directory, path)), 3));
    });
  });
}

it("where there is no such directory nothing is there", () => {
  using looker = openLooker("/nowhere/at all", { isLong: true });
  assert.ok(!looker.isThere(Buffer.from("a\0"), 0, 1));
  assert.ok(!looker.isThere(Buffer.from("\0"), 0, 0));
});
