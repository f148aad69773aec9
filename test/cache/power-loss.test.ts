import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { runCommand, runSlipway, slipwayPath } from "../slipway.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";

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

interface Disk extends Disposable {
  /** A place for a store on it. */
  readonly root: string;
  /** Copies it as it is when the power fails now; returns the path of the image. */
  copy(path: string): string;
}

function openDisk({ directory }: BuildBench): Disk {
  using opened = new DisposableStack();
  const outer = join(directory, "outer");
  opened.use(mountImage(makeImage(join(directory, "outer.img"), 512), outer));
  const image = makeImage(join(outer, "inner.img"), 192);
  const inner = join(directory, "inner");
  opened.use(mountImage(image, inner, "loop,commit=1"));
  const closing = opened.move();
  return {
    root: join(inner, "store"),
    copy(path) {
      execFileSync("fsfreeze", ["--freeze", outer]);
      try {
        execFileSync("cp", ["--sparse=always", image, path]);
      } finally {
        execFileSync("fsfreeze", ["--unfreeze", outer]);
      }
      return path;
    },
    [Symbol.dispose]: () => closing.dispose(),
  };
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
  using disk = openDisk(bench);
  const { root } = disk;

  const buildArgs = (n: number | string, iidfile: string) => [
    ...["build", "--progress=plain", "-t", `v${n}`, "--timestamp", "1000", "--iidfile", iidfile],
    ...["--build-arg", `N=${n}`, directory],
  ];
  const ids: string[] = [];
  let isDone = false;
  const run = async (args: readonly string[]) => {
    const { code, stderr } = await runSlipway(args, { root });
    assert.equal(code, 0, stderr);
  };
  const build = async () => {
    for (let n = 0; !isDone; n++) {
      await run(buildArgs(n, at("id")));
      ids.push(readFileSync(at("id"), "utf8"));
    }
  };
  /** Its commits are synced at once, and with them what others have committed before and have not synced. */
  const prune = async () => {
    for (let n = 0; !isDone; n++) {
      await run(buildArgs(`p${n}`, at("pruned-id")));
      await run(["rmi", `vp${n}`]);
      await run(["prune", "--all"]);
    }
  };
  const work = async () => {
    await run(["load", "-i", base]);
    await Promise.all([build(), prune()]);
  };
  const working = work();
  const copies: string[] = [];
  while (copies.length < LOSSES) {
    await Promise.race([sleep(Math.random() * BETWEEN_MS), working]);
    copies.push(disk.copy(at(`copy-${copies.length}`)));
  }
  isDone = true;
  await working;
  // What has ended is on the disk.
  const last = ids.length;
  await run(buildArgs(last, at("id")));
  ids.push(readFileSync(at("id"), "utf8"));
  copies.push(disk.copy(at("copy-last")));

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

test("a step whose record came to the disk before its files is forgotten", {
  skip,
  timeout: 300_000,
}, async () => {
  using bench = await openBuildBench();
  const at = (name: string) => join(bench.directory, name);
  const base = at("base.tar");
  await bench.run(["save", "-o", base, "busybox"]);
  using disk = openDisk(bench);
  const { root } = disk;
  const run = async (args: readonly string[], env?: NodeJS.ProcessEnv) => {
    const { code, stderr } = await runSlipway(args, { root, env });
    assert.equal(code, 0, stderr);
  };
  await run(["load", "-i", base]);
  await run(["build", bench.context({ Dockerfile: "FROM busybox\nRUN echo > /for-prune\n" })]);

  const file = `FROM busybox
RUN dd if=/dev/urandom of=/large bs=64k count=40
RUN --mount=type=cache,target=/c touch /c/begun; until [ -e /c/go ]; do sleep 0.05; done
`;
  const directory = bench.context({ Dockerfile: file });
  const building = run(["build", directory]);
  const mounts = join(root, "cache-mounts");
  const find = () =>
    (existsSync(mounts) ? readdirSync(mounts) : []).find((name) => existsSync(join(mounts, name, "begun")));
  while (find() === undefined) await Promise.race([sleep(50), building]);
  // prune syncs what it commits, and so what others have committed; and here no file but that.
  mkdirSync(at("bin"));
  writeFileSync(at("bin/sync"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  await run(["prune"], { PATH: `${at("bin")}:${process.env.PATH}` });
  const copy = disk.copy(at("copy"));
  writeFileSync(join(mounts, find()!, "go"), "");
  await building;

  using _copy = mountImage(copy, at("later"));
  const store = at("later/store");
  const database = new DatabaseSync(join(store, "db.sqlite"));
  const count = database.prepare("SELECT count(*) AS n FROM records WHERE durable = 0").get()!.n;
  database.close();
  assert.equal(count, 1, "the record is there, and nobody knows whether its files are");
  const { code, stdout, stderr } = await runLater(bench, ["--root", store, "verify"]);
  assert.deepEqual([code, stdout], [0, "The store is well\n"], stderr);
  const plan = await runLater(bench, ["--root", store, "plan", directory]);
  assert.match(plan.stdout, /^2 steps: 2 will run$/m, plan.stderr);
});

test("a pulled image whose layers did not reach the disk is fetched again", {
  skip: skip || registryMissing,
  timeout: 120_000,
}, async () => {
  using bench = await openBuildBench();
  await using registry = await startRegistry();
  const name = `${registry.host}/base:1`;
  await bench.run(["tag", "busybox", name]);
  await bench.run(["push", name]);
  const root = join(bench.directory, "other");
  const pulled = await runSlipway(["pull", name], { root });
  assert.equal(pulled.code, 0, pulled.stderr);
  const layers = () => readdirSync(join(root, "layers"));
  assert.equal(layers().length, 1);
  const pruned = await runLater(bench, ["--root", root, "prune", "--force"]);
  assert.equal(pruned.code, 0, pruned.stderr);
  assert.deepEqual(layers(), [], "nobody knows whether it is whole");
  const saved = await runLater(bench, [
    "--root",
    root,
    "save",
    "-o",
    join(bench.directory, "saved.tar"),
    name,
  ]);
  assert.equal(saved.code, 0, saved.stderr);
  const verified = await runLater(bench, ["--root", root, "verify"]);
  assert.equal(verified.stdout, "The store is well\n", verified.stderr);
});
