import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { tarChecksum } from "../../src/rootfs/tar-header.ts";
import { openBuildBench } from "../build-bench.ts";
import { type MemoryUse, measureMemory } from "../measure-memory.ts";
import { rawMember } from "../raw-tar.ts";
import { slipway } from "../slipway.ts";

/** `SLIPWAY_ENTRIES=1000000` is the number that the promise is about. */
const count = Number(process.env.SLIPWAY_ENTRIES ?? 50_000);
/** These become files on the disk, which takes its time. */
const memberCount = Math.min(count, 20_000);
const FEW = 1000;
/** Beside the empty files, so that buffers are in use for few as for many. */
const FILLER = randomBytes(32 << 20);
/** Over what a thousand entries take: code that is compiled once it runs often, and runs that are sorted; the same for any number above. */
const MEMORY_LIMIT_MIB = 25;
const TAR_END = Buffer.alloc(1024);

test(`${count} entries cost no more memory than a thousand`, async (t) => {
  compare(t, { few: await passThrough(FEW), many: await passThrough(count) });
});

test(`load of an archive of ${memberCount} members takes no more memory than one of a thousand`, async (t) => {
  compare(t, { few: { load: await load(FEW) }, many: { load: await load(memberCount) } });
});

type Uses = Readonly<Record<string, MemoryUse>>;

function compare(t: TestContext, { few, many }: { readonly few: Uses; readonly many: Uses }): void {
  for (const [name, { peakMib, seconds }] of Object.entries(many)) {
    const base = few[name]!.peakMib;
    t.diagnostic(`${name}: ${peakMib} MiB for many, ${base} MiB for ${FEW}; ${seconds.toFixed(1)} s`);
  }
  for (const [name, { peakMib }] of Object.entries(many)) {
    const more = peakMib - few[name]!.peakMib;
    assert.ok(more < MEMORY_LIMIT_MIB, `${name} takes ${more} MiB more`);
  }
}

/** An image of so many files is taken in, copied from, compressed and listed. */
async function passThrough(entries: number): Promise<Uses> {
  using bench = await openBuildBench();
  const context = join(bench.directory, "context");
  const archive = join(bench.directory, "files.tar");
  mkdirSync(context);
  const fd = openSync(archive, "w");
  writeMembers(fd, entries);
  writeSync(fd, rawMember({ type: "0", name: "d/filler", content: FILLER }));
  writeSync(fd, TAR_END);
  closeSync(fd);
  writeFileSync(join(context, "Dockerfile"), "FROM scratch\nCOPY --from=files /d /to/\n");
  const run = (...args: string[]) => measureMemory(["--root", bench.root, ...args]);
  const output = (compression: string) =>
    `type=oci,dest=${join(bench.directory, `${compression}.tar`)},compression=${compression}`;
  return {
    import: await run("import", archive, "files"),
    "COPY --from": await run("build", "-t", "copied", context),
    gzip: await run("build", "-o", output("gzip"), context),
    zstd: await run("build", "-o", output("zstd"), context),
    ls: await run("ls", "-R", "copied"),
    prune: await run("prune", "--all"),
  };
}

/** All but a few members are no part of the image. */
async function load(members: number): Promise<MemoryUse> {
  using bench = await openBuildBench();
  const saved = join(bench.directory, "saved.tar");
  const archive = join(bench.directory, "image.tar");
  await slipway(["save", "-o", saved, "busybox"], { root: bench.root });
  const fd = openSync(archive, "w");
  writeMembers(fd, members);
  writeSync(fd, readFileSync(saved));
  closeSync(fd);
  return await measureMemory(["--root", join(bench.directory, "other"), "load", "-i", archive]);
}

/** Not in order, so that an index has to sort them. */
function nameOf(at: number): string {
  const scattered = String((at * 7_368_787) % 1_000_003).padStart(7, "0");
  return `d/${scattered.slice(0, 4)}/file-${scattered}`;
}

function writeMembers(fd: number, members: number): void {
  const header = rawMember({ type: "0", name: nameOf(0) });
  for (let at = 0; at < members; at++) {
    header.write(nameOf(at), 0, "latin1");
    header.write(`${tarChecksum(header).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    writeSync(fd, header);
  }
}
