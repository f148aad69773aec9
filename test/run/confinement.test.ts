import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";

describe("how far a RUN is kept from the machine", { skip: runMissing }, () => {
  let bench: BuildBench;
  beforeEach(async () => {
    bench = await openBuildBench();
  });
  afterEach(() => bench[Symbol.dispose]());

  const build = (command: string, args: readonly string[]) =>
    bench.build(`FROM busybox\nRUN ${command}`, { args });

  /** What a RUN prints. */
  async function print(command: string, args: readonly string[]): Promise<string> {
    const { code, stderr } = await build(command, args);
    assert.equal(code, 0, stderr);
    return stderr.replaceAll(/^#\d+ [\d.]+ /gm, "");
  }

  /** The bits of `CapEff` (linux/capability.h). */
  async function capabilities(...args: readonly string[]): Promise<bigint> {
    const text = await print("grep CapEff /proc/self/status", args);
    return BigInt(`0x${/^CapEff:\t([0-9a-f]+)$/m.exec(text)![1]}`);
  }
  const CHOWN = 1n << 0n;
  const NET_ADMIN = 1n << 12n;
  const NET_RAW = 1n << 13n;

  it("--cap-add and --cap-drop change docker's capabilities, and are in the key", async () => {
    const usual = await capabilities();
    assert.equal(
      await capabilities("--cap-add", "net_admin", "--cap-drop=CAP_NET_RAW,CHOWN"),
      (usual | NET_ADMIN) & ~(NET_RAW | CHOWN),
    );
    assert.equal(await capabilities("--cap-drop", "ALL", "--cap-add", "CHOWN"), CHOWN);
    assert.equal(await capabilities("--cap-add", "CHOWN", "--cap-drop", "CHOWN"), usual & ~CHOWN);
    const all = BigInt(`0x${/^CapEff:\s*(\w+)$/m.exec(readFileSync("/proc/self/status", "utf8"))![1]}`);
    assert.equal(await capabilities("--cap-add", "ALL"), all);
    const { stderr } = await build("true", ["--cap-add", "NET_ADMN"]);
    assert.match(
      stderr,
      /^Error: Cannot use "NET_ADMN" for --cap-add: .*\n\nHint: Did you mean "CAP_NET_ADMIN"\?/m,
    );
  });

  it("--security-opt switches seccomp off, and privileges of files", async () => {
    const status = "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status";
    assert.match(await print(status, []), /^NoNewPrivs:\t0\nSeccomp:\t2$/m);
    assert.match(await print(status, ["--security-opt", "seccomp=unconfined"]), /^Seccomp:\t0$/m);
    assert.match(
      await print(status, ["--security-opt", "no-new-privileges:true"]),
      /^NoNewPrivs:\t1\nSeccomp:\t2$/m,
    );
    assert.match(await print(status, ["--security-opt=apparmor=unconfined"]), /CACHED$/m);
    const { code, stderr } = await build("true", ["--security-opt", "seccomp=/profile.json"]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^Error: Cannot use --security-opt seccomp=\/profile.json: there is no such choice yet$/m,
    );
  });

  it("--volume shows a directory or file of this machine, and leaves nothing of it in the layer", async () => {
    const directory = join(bench.directory, "shared");
    mkdirSync(directory);
    writeFileSync(join(directory, "in"), "from here");
    const args = [
      "-v",
      `${directory}:/shared`,
      "-v",
      `${join(directory, "in")}:/etc/motd:ro`,
      "-t",
      "volumes",
    ];
    const text = await print("cat /shared/in /etc/motd; echo out > /shared/out; ! touch /etc/motd", args);
    assert.match(text, /^from herefrom here$/m);
    assert.equal(readFileSync(join(directory, "out"), "utf8"), "out\n");
    const { stdout } = await bench.run(["ls", "volumes"]);
    assert.doesNotMatch(stdout, /shared|motd/);
    const missing = await build("true", ["-v", "/nowhere:/x"]);
    assert.match(
      missing.stderr,
      /^Error: Cannot mount the volume "\/nowhere": there is no such file or directory$/m,
    );
  });

  it("refuses what a volume cannot be", async () => {
    const cases: readonly (readonly [volume: string, message: RegExp])[] = [
      ["/a", /it is not FROM:TO\[:ro\]/],
      ["name:/a", /"name" is no path/],
      ["/a:b", /"b" does not begin with "\/"/],
      ["/a:/b/..", /nothing can be mounted over the root/],
      ["/a:/b:rx", /there is no option "rx"/],
      ["/a:/b:O", /Cannot use the volume option "O"/],
    ];
    for (const [volume, message] of cases) {
      const { code, stderr } = await build("true", ["-v", volume]);
      assert.match(stderr, message);
      assert.equal(code, 1);
    }
  });

  it("has one isolation and no builders, and says so", async () => {
    await print("true", ["--isolation=default"]);
    await print("true", ["--isolation=oci"]);
    assert.match(
      (await build("true", ["--isolation=chroot"])).stderr,
      /^Error: Cannot use --isolation=chroot: /m,
    );
    assert.match(
      (await build("true", ["--builder=x"])).stderr,
      /^Error: Cannot use the builder "x": .*\n\nHint: Leave --builder out$/m,
    );
  });
});
