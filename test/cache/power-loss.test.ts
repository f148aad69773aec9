import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { runCommand, runSlipway, slipwayPath } from "../slipway.ts";

/*
 * The store's file system lies in a file of another file system, which is frozen for a moment while the file is copied: so a copy is
 * what a disk has when the power fails, all blocks that were written until then and none that was written later. Each copy is
 * mounted, as after another boot, and looked into.
 */

/** SLIPWAY_POWER_LOSSES=50 for the long version. */
const LOSSES = Number(process.env.SLIPWAY_POWER_LOSSES ?? 8);
const BETWEEN_MS = 3000;

const missing = ["fsfreeze", "mkfs.ext4", "losetup", "unshare"].find((name) =>
  ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].every((directory) => !existsSync(join(directory, name))),
);
const skip = runMissing || (missing !== undefined && `needs ${missing}`);

const DOCKERFILE = `FROM busybox AS one
ARG N
COPY a.txt b.txt /in/
RUN cat /in/* > /joined; echo $N >> /joined; dd if=/dev/zero of=/large bs=64k count=20
FROM busybox
WORKDIR /w
COPY --link b.txt /b
RUN --mount=type=bind,from=one,source=/joined,target=/j wc /j > count; mkdir -p /d/e; ln /b /d/e/hard
COPY --from=one --chmod=0600 /joined /w/
`;

/** A file system in a file; unmounted at the end. */
function mountImage(path: string, at: string, options = "loop"): Disposable {
  mkdirSync(at, { recursive: true });
  execFileSync("mount", ["-o", options, path, at]);
  return { [Symbol.dispose]: () => execFileSync("umount", ["--lazy", at]) };
}

function makeImage(path: string, mebibytes: number): string {
  writeFileSync(path, "");
  truncateSync(path, mebibytes << 20);
  execFileSync("mkfs.ext4", ["-q", path]);
  return path;
}

/** Runs slipway as after another boot. */
function runLater(bench: BuildBench, args: readonly string[]) {
  const bootId = join(bench.directory, "boot-id");
  writeFileSync(bootId, "another boot\n");
  const script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"';
  return runCommand("unshare", ["--mount", "sh", "-c", script, bootId, slipwayPath, ...args]);
}

test("whenever the power fails, the store refers to nothing that is missing, and builds give the same images", {
  skip,
  timeout: 600_000,
}, async () => {
  using bench = await openBuildBench();
  const directory = bench.context({ "a.txt": "a\n", "b.txt": "b\n", Dockerfile: DOCKERFILE });
  const at = (name: string) => join(bench.directory, name);
  const base = at("base.tar");
  await bench.run(["save", "-o", base, "busybox"]);
  using _outer = mountImage(makeImage(at("outer"), 512), at("disk"));
  const disk = makeImage(at("disk/inner"), 192);
  using _inner = mountImage(disk, at("file-system"), "loop,commit=1");
  const root = at("file-system/store");

  const buildArgs = (n: number, iidfile: string) => [
    ...["build", "--progress=plain", "-t", `v${n}`, "--timestamp", "1000", "--iidfile", iidfile],
    ...["--build-arg", `N=${n}`, directory],
  ];
  const ids: string[] = [];
  let isDone = false;
  const work = async () => {
    assert.equal((await runSlipway(["load", "-i", base], { root })).code, 0);
    for (let n = 0; !isDone; n++) {
      const { code, stderr } = await runSlipway(buildArgs(n, at("id")), { root });
      assert.equal(code, 0, stderr);
      ids.push(readFileSync(at("id"), "utf8"));
      if (n % 3 !== 2) continue;
      assert.equal((await runSlipway(["rmi", `v${n}`], { root })).code, 0);
      assert.equal((await runSlipway(["prune", "--all"], { root })).code, 0);
    }
  };
  const copyDisk = (path: string) => {
    execFileSync("fsfreeze", ["--freeze", at("disk")]);
    try {
      execFileSync("cp", ["--sparse=always", disk, path]);
    } finally {
      execFileSync("fsfreeze", ["--unfreeze", at("disk")]);
    }
    return path;
  };

  const working = work();
  const copies: string[] = [];
  while (copies.length < LOSSES) {
    await Promise.race([sleep(Math.random() * BETWEEN_MS), working]);
    copies.push(copyDisk(at(`copy-${copies.length}`)));
  }
  isDone = true;
  await working;
  // What has ended is on the disk.
  const last = ids.length;
  assert.equal((await runSlipway(buildArgs(last, at("id")), { root })).code, 0);
  ids.push(readFileSync(at("id"), "utf8"));
  copies.push(copyDisk(at("copy-last")));

  for (const path of copies) {
    using _copy = mountImage(path, at("later"));
    const store = at("later/store");
    const { code, stdout, stderr } = await runLater(bench, ["--root", store, "verify"]);
    assert.deepEqual([code, stdout], [0, "The store is well\n"], `${path}: ${stderr}`);
    const isLast = path === copies.at(-1);
    await runLater(bench, ["--root", store, "load", "-i", base]);
    const n = isLast ? last : 0;
    const built = await runLater(bench, ["--root", store, ...buildArgs(n, at("id"))]);
    assert.equal(built.code, 0, built.stderr);
    assert.equal(readFileSync(at("id"), "utf8"), ids[n]);
    if (isLast) assert.equal(built.stderr.match(/ CACHED$/gm)?.length, 6, built.stderr);
  }
});
