import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, lstatSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FS_TOPDIR_FL, loadLibc, S_IFCHR } from "./libc.ts";

const skip = process.platform === "linux" ? false : "needs Linux";
const skipUnlessRoot = skip || (process.getuid?.() === 0 ? false : "needs root");

test("loadLibc() sets, lists, reads and removes attributes", { skip }, (t) => {
  const directory = mkdtempSync(join(tmpdir(), "libc-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const libc = loadLibc();
  const path = join(directory, "f");
  writeFileSync(path, "x");
  const large = Buffer.alloc(3000, 7);
  libc.lsetxattr(path, "user.a", Buffer.from("one"));
  libc.lsetxattr(path, "user.empty", Buffer.alloc(0));
  libc.lsetxattr(path, "user.large", large);
  assert.deepEqual(libc.llistxattr(path).sort(), ["user.a", "user.empty", "user.large"]);
  assert.equal(libc.lgetxattr(path, "user.a")?.toString(), "one");
  assert.equal(libc.lgetxattr(path, "user.empty")?.length, 0);
  assert.deepEqual(libc.lgetxattr(path, "user.large"), large);
  libc.lremovexattr(path, "user.a");
  assert.equal(libc.lgetxattr(path, "user.a"), undefined);
});

test("loadLibc() reports errno like node:fs", { skip }, () => {
  assert.throws(() => loadLibc().llistxattr("/nowhere/at all"), {
    code: "ENOENT",
    syscall: "llistxattr",
    path: "/nowhere/at all",
  });
  assert.throws(() => loadLibc().llistxattr("/tmp\0/x"), /NUL/);
});

test("loadLibc() makes devices and sets a symlink's own times", { skip: skipUnlessRoot }, (t) => {
  const directory = mkdtempSync(join(tmpdir(), "libc-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const libc = loadLibc();
  libc.mknod(join(directory, "null"), S_IFCHR | 0o600, { major: 1, minor: 3 });
  const device = lstatSync(join(directory, "null"));
  assert.ok(device.isCharacterDevice());
  assert.equal(device.rdev, (1 << 8) | 3);
  symlinkSync("gone", join(directory, "link"));
  libc.lutimens(join(directory, "link"), -5, 250_000_000);
  const link = lstatSync(join(directory, "link"), { bigint: true });
  assert.equal(link.mtimeNs, -4_750_000_000n);
});

test("loadLibc() adds a flag to those of a directory", { skip }, (t) => {
  const directory = mkdtempSync(join(tmpdir(), "libc-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const listed = () => execFileSync("lsattr", ["-d", directory], { encoding: "utf8" }).split(" ")[0]!;
  const FS_NODUMP_FL = 0x40;
  const fd = openSync(directory, "r");
  try {
    loadLibc().addInodeFlags(fd, FS_NODUMP_FL);
    loadLibc().addInodeFlags(fd, FS_TOPDIR_FL);
  } catch (error) {
    if (!["ENOTTY", "EOPNOTSUPP"].includes((error as NodeJS.ErrnoException).code!)) throw error;
    t.skip("the file system of the temporary directory has no such flags");
    return;
  } finally {
    closeSync(fd);
  }
  assert.match(listed(), /d.*T/);
});

test("loadLibc() says that a file system has no flags", { skip }, () => {
  const fd = openSync("/proc/self/fd", "r");
  try {
    assert.throws(() => loadLibc().addInodeFlags(fd, FS_TOPDIR_FL), { code: "ENOTTY", syscall: "ioctl" });
  } finally {
    closeSync(fd);
  }
});
