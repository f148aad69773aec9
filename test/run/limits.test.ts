import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { listCgroups, removeCgroups } from "./list-cgroups.ts";

const ROOT = "/sys/fs/cgroup";
const V1 = join(ROOT, "memory");
const V2_CONTROLLERS = join(ROOT, "cgroup.controllers");
const limitsMissing = runMissing || (!existsSync(V1) && !existsSync(V2_CONTROLLERS) && "needs cgroups");
const hasCpuset =
  existsSync(join(ROOT, "cpuset")) ||
  (existsSync(V2_CONTROLLERS) && readFileSync(V2_CONTROLLERS, "utf8").includes("cpuset"));

/** What cannot be had in 32 MiB. */
const HUNGRY = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo $x | wc -c";

describe("limits of a RUN", { skip: limitsMissing }, () => {
  let bench: BuildBench;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());

  /** What a RUN prints. */
  async function print(command: string, args: readonly string[]): Promise<string> {
    const { code, stderr } = await bench.build(`FROM busybox\nRUN ${command}`, { args });
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /have no effect/);
    return stderr.replaceAll(/^#\d+ [\d.]+ /gm, "");
  }

  it("says that a command ran out of memory", async () => {
    const { code, stderr } = await bench.build(`FROM busybox\nRUN ${HUNGRY}`, { args: ["-m", "32m"] });
    assert.equal(code, 1);
    assert.match(stderr, /^Error: Cannot run ".*": it ran out of memory \(it ended with exit code \d+\)$/m);
  });

  it("says that something of a command that succeeded was killed", async () => {
    const { code, stderr } = await bench.build(`FROM busybox\nRUN (${HUNGRY}) || true`, {
      args: ["-m", "32m"],
    });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /went on although something of it was killed: it ran out of memory/);
  });

  it("does not say so of a command that was killed for another reason", async () => {
    const { stderr } = await bench.build("FROM busybox\nRUN sh -c 'kill -9 $$'; exit $?", {
      args: ["-m", "32m"],
    });
    assert.match(stderr, /^Error: Cannot run ".*": it ended with exit code 137$/m);
  });

  it("fills the page cache without running out of memory", async () => {
    await print("head -c 100000000 /dev/zero > /file; rm /file", ["-m", "32m"]);
  });

  it("sets shares and quota", async () => {
    const files = existsSync(V1) ? "cpu/cpu.shares cpu/cpu.cfs_quota_us" : "cpu.weight cpu.max";
    const text = await print(`cd /sys/fs/cgroup; cat ${files}`, [
      ...["--resource", "cpu-shares=512", "--cpu-quota", "50000"],
    ]);
    assert.match(text, existsSync(V1) ? /^512\n50000$/m : /^20\n50000 100000$/m);
  });

  it("sets cpus", { skip: !hasCpuset && "needs the cpuset controller" }, async () => {
    const text = await print("grep Cpus_allowed_list /proc/self/status", ["--resource", "cpuset-cpus=0"]);
    assert.match(text, /^Cpus_allowed_list:\t0$/m);
  });

  it("takes each limit in an option of its own", {
    skip: !hasCpuset && "needs the cpuset controller",
  }, async () => {
    const names = ["cpu.shares", "cpu.cfs_period_us", "cpu.weight", "cpu.max"];
    const files = names.flatMap((name) => [`${ROOT}/${name}`, `${ROOT}/*/${name}`]).join(" ");
    const text = await print(
      `grep -E '^(Cpus|Mems)_allowed_list' /proc/self/status; cat ${files} ${V1}/memory.stat 2>/dev/null || true`,
      [
        ...["-c", "512", "--cpu-period", "50000", "--cpuset-cpus", "0", "--cpuset-mems", "0"],
        ...["-m", "64m", "--memory-swap", "96m"],
      ],
    );
    assert.match(text, /^Cpus_allowed_list:\t0\nMems_allowed_list:\t0$/m);
    assert.match(text, existsSync(V1) ? /^512$/m : /^20$/m);
    assert.match(text, existsSync(V1) ? /^50000$/m : /^max 50000$/m);
    // What programs take for their own: a little more where the limit itself is on the cgroup around it.
    if (existsSync(V1))
      assert.match(await print(`cat ${V1}/memory.limit_in_bytes`, ["-m", "64m"]), /^67174400$/m);
    // Only where the kernel counts swap is there such a file.
    if (existsSync(`${V1}/memory.memsw.limit_in_bytes`))
      assert.match(text, /^hierarchical_memsw_limit 100663296$/m);
  });

  it("sets ulimits and the size of /dev/shm", async () => {
    const text = await print("ulimit -n; ulimit -Hn; ulimit -c; df -k /dev/shm", [
      ...["--ulimit", "nofile=100:200", "--ulimit", "core=0", "--shm-size", "1m"],
    ]);
    assert.match(text, /^100\n200\n0$/m);
    assert.match(text, /^shm +1024 /m);
  });

  it("takes a limit away with -1", async () => {
    // Nobody may raise a limit without the capability to; core files have none here to begin with.
    assert.match(await print("ulimit -c; ulimit -Hc", ["--ulimit", "core=-1"]), /^unlimited\nunlimited$/m);
  });

  it("has 64 MiB of /dev/shm by default", async () => {
    assert.match(await print("df -k /dev/shm", []), /^shm +65536 /m);
  });

  it("is held by the limits of its --cgroup-parent, and leaves nothing there", async () => {
    const top = `/slipway-test-${process.pid}`;
    const parent = `${top}/inner`;
    const memory = existsSync(V1) ? V1 : ROOT;
    if (memory === ROOT) writeFileSync(join(ROOT, "cgroup.subtree_control"), "+memory");
    mkdirSync(join(memory, top));
    for (const name of ["memory.max", "memory.swap.max", "memory.limit_in_bytes"]) {
      const path = join(memory, top, name);
      if (existsSync(path)) writeFileSync(path, name === "memory.swap.max" ? "0" : String(32 << 20));
    }
    const { code, stderr } = await bench.build(`FROM busybox\nRUN ${HUNGRY}`, {
      args: ["--cgroup-parent", parent],
    });
    assert.equal(code, 1);
    assert.match(stderr, /ended with exit code \d+$/m);
    assert.deepEqual(listCgroups(`${parent}/slipway`), []);
    // The parents are the caller's.
    for (const path of ["/inner/slipway", "/inner", ""]) removeCgroups(`${top}${path}`);
  });

  it("makes no difference to the cache", async () => {
    await print("true", ["-m", "64m"]);
    assert.match(await print("true", ["-m", "128m"]), /CACHED/);
  });

  for (const [args, message] of [
    [["-m", "1k"], 'Cannot use "1k" for memory: the minimum is 6m'],
    [["--memory-swap", "1g"], "Cannot limit memory-swap: memory has no limit"],
    [["-m", "1g", "--memory-swap", "1m"], "Cannot limit memory-swap: it is below memory, which it includes"],
    [["--cpuset-cpus", "a"], 'Cannot use "a" for cpuset-cpus: it is no list like 0-2,4'],
    [["--resource", "memori=1g"], 'Cannot use "memori=1g" for --resource: there is no such resource'],
    [["--ulimit", "nofiles=1"], 'Cannot use "nofiles=1" for --ulimit: there is no limit "nofiles"'],
  ] as const) {
    it(`refuses ${args.join(" ")}`, async () => {
      const { code, stderr } = await bench.build("FROM busybox\nRUN true", { args });
      assert.notEqual(code, 0);
      assert.ok(stderr.includes(`Error: ${message}`), stderr);
    });
  }

  it("leaves no cgroup behind", async () => {
    await print("echo ends", ["-m", "64m"]);
    assert.deepEqual(
      listCgroups("/slipway").filter((name) => name.includes(`-${process.pid}-`)),
      [],
    );
  });
});

describe("without cgroups", { skip: runMissing }, () => {
  it("a RUN works and can make no device node", async () => {
    using bench = await openBuildBench();
    const context = bench.context({
      Dockerfile: "FROM busybox\nRUN echo works\nRUN ! mknod /dev/kvm c 10 232",
    });
    const { code, stderr } = await bench.run(["build", "--progress=plain", context], {
      env: { SLIPWAY_DISABLE: "cgroups" },
    });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /works/);
    assert.doesNotMatch(stderr, /have no effect/);
  });

  it("says that limits have no effect", async () => {
    using bench = await openBuildBench();
    const context = bench.context({ Dockerfile: "FROM busybox\nRUN true" });
    const { code, stderr } = await bench.run(["build", "--progress=plain", "-m", "64m", context], {
      env: { SLIPWAY_DISABLE: "cgroups" },
    });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /the limits of commands have no effect: this machine grants no cgroups/);
  });
});
