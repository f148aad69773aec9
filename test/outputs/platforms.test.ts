import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { runCommand, slipwayPath } from "../slipway.ts";
import { validateImageLayout } from "../validate-image.ts";

const QEMU = "/usr/bin/qemu-aarch64-static";

/** A static arm64 program that writes a text and ends (ELF-64, one segment; Linux's write is 64, exit 93). */
function makeArm64Program(text: string): Buffer {
  const code = [0xd2800020, 0x100000e1, 0xd2800002 | (text.length << 5), 0xd2800808, 0xd4000001];
  code.push(0xd2800000, 0xd2800ba8, 0xd4000001);
  const size = 120 + code.length * 4 + text.length;
  const elf = Buffer.alloc(size);
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  const start = 0x400000;
  elf.writeUInt16LE(2, 16);
  elf.writeUInt16LE(183, 18);
  elf.writeUInt32LE(1, 20);
  elf.writeBigUInt64LE(BigInt(start + 120), 24);
  elf.writeBigUInt64LE(64n, 32);
  elf.writeUInt16LE(64, 52);
  elf.writeUInt16LE(56, 54);
  elf.writeUInt16LE(1, 56);
  elf.writeUInt32LE(1, 64);
  elf.writeUInt32LE(5, 68);
  elf.writeBigUInt64LE(BigInt(start), 80);
  elf.writeBigUInt64LE(BigInt(start), 88);
  elf.writeBigUInt64LE(BigInt(size), 96);
  elf.writeBigUInt64LE(BigInt(size), 104);
  elf.writeBigUInt64LE(0x1000n, 112);
  for (const [at, word] of code.entries()) elf.writeUInt32LE(word >>> 0, 120 + at * 4);
  elf.write(text, 120 + code.length * 4, "latin1");
  return elf;
}

describe("builds for several platforms", () => {
  let bench: BuildBench;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());

  it("need nothing where nothing is RUN, whatever the system", async () => {
    const dest = join(bench.directory, "image.tar");
    const dockerfile = "FROM scratch\nARG TARGETOS TARGETARCH\nCOPY $TARGETOS-$TARGETARCH /here\n";
    const files = { "linux-amd64": "1", "linux-arm": "2", "darwin-arm64": "3", "windows-amd64": "4" };
    const platforms = "linux/amd64,linux/arm/v7,darwin/arm64,windows/amd64";
    const args = ["--platform", platforms, "-o", `type=oci,dest=${dest}`];
    const { code, stderr } = await bench.build(dockerfile, { files, args });
    assert.equal(code, 0, stderr);
    const images = await validateImageLayout(dest);
    assert.equal(images.map(({ platform }) => platform).join(), platforms);
  });

  it("refuse a RUN for another system, with its place", { skip: runMissing }, async () => {
    const { code, stderr } = await bench.build("FROM scratch\nRUN x\n", {
      args: ["--platform=windows/amd64"],
    });
    assert.equal(code, 1);
    assert.match(stderr, /Cannot run a command for windows\/amd64: .*\n\n.*Dockerfile:2/);
  });

  const isForeign = process.arch === "x64";
  const skip =
    runMissing ||
    (!isForeign && "this machine runs arm64 programs itself") ||
    (!existsSync(QEMU) && "qemu-user-static is missing (apt-get install qemu-user-static)");
  it("RUN the programs of another processor by a handler of the kernel, and say how to get one", {
    skip,
  }, async (t) => {
    const context = join(bench.directory, "foreign");
    mkdirSync(context);
    writeFileSync(join(context, "program"), makeArm64Program("hello from afar\n"));
    chmodSync(join(context, "program"), 0o755);
    writeFileSync(join(context, "Dockerfile"), 'FROM scratch\nCOPY program /program\nRUN ["/program"]\n');
    const name = `slipway-test-${process.pid}`;
    const magic = "\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00";
    const mask =
      "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff";
    const build = [
      slipwayPath,
      "--root",
      bench.root,
      "build",
      "--progress=plain",
      "--platform=linux/arm64",
      context,
    ];
    // Handlers are of the whole kernel: ours goes away again, whatever happens.
    const script = `
      handlers=/proc/sys/fs/binfmt_misc
      mount -t binfmt_misc binfmt_misc $handlers || exit 77
      [ -z "$(grep -l b700 $handlers/* 2>/dev/null)" ] || exit 77
      "$@" && exit 1
      printf '%s' ':${name}:M::${magic}:${mask}:${QEMU}:OCF' > $handlers/register || exit 77
      trap 'echo -1 > $handlers/${name}' EXIT
      "$@"`;
    const { code, stderr } = await runCommand("unshare", ["--mount", "sh", "-c", script, "sh", ...build]);
    if (code === 77) {
      t.skip("handlers of programs cannot be changed here");
      return;
    }
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /its kernel has no handler for arm64 programs\n[\s\S]*Hint: Install one: .*qemu-user-static/,
    );
    assert.match(stderr, /hello from afar/);
  });
});
