import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { loadLibc } from "./libc.ts";
import { formatPaxRecords } from "./pax-records.ts";
import { pathFromText } from "./rootfs-path.ts";
import { TAR_BLOCK, tarChecksum, tarPadding } from "./tar-header.ts";
import type { TarMember } from "./tar-member.ts";
import { TarReader } from "./tar-reader.ts";
import { encodeTarMember, TAR_END } from "./tar-writer.ts";
import { openUnionTree } from "./union-tree.ts";
import { unpackArchive } from "./unpack-archive.ts";

type Read = TarMember & { readonly content: Buffer; readonly dataOffset: number };

function readTar(archive: Uint8Array, step = archive.length): Read[] {
  const found: Read[] = [];
  let parts: Buffer[] = [];
  let last: [TarMember, number] | undefined;
  const reader = new TarReader({
    member(member, { dataOffset }) {
      last = [member, dataOffset];
      parts = [];
    },
    content(chunk) {
      parts.push(Buffer.from(chunk));
    },
    memberEnd() {
      found.push({ ...last![0], dataOffset: last![1], content: Buffer.concat(parts) });
    },
  });
  for (let at = 0; at < archive.length; at += step) reader.write(archive.subarray(at, at + step));
  reader.end();
  return found;
}

const plain: TarMember = {
  name: "f",
  type: "file",
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0,
  mtimeNs: 0,
  linkName: "",
  deviceMajor: 0,
  deviceMinor: 0,
};

function writeTar(members: readonly { member: TarMember; content?: Uint8Array }[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const { member, content = Buffer.alloc(0) } of members) {
    parts.push(encodeTarMember(member), content, Buffer.alloc(tarPadding(content.length)));
  }
  return Buffer.concat([...parts, TAR_END]);
}

const byteName = fc
  .array(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength: 300 })
  .map((bytes) => String.fromCharCode(...bytes))
  .filter((name) => !name.endsWith("/"));

const anyMember = fc
  .record({
    name: byteName,
    type: fc.constantFrom("file", "hardlink", "symlink", "char", "block", "directory", "fifo"),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.oneof(fc.nat(70_000), fc.integer({ min: 0, max: 0xffff_ffff })),
    gid: fc.oneof(fc.nat(70_000), fc.integer({ min: 0, max: 0xffff_ffff })),
    mtime: fc.oneof(fc.nat(2e9), fc.integer({ min: -1e10, max: 1e12 })),
    link: byteName,
    device: fc.tuple(fc.nat(4095), fc.nat(1 << 20)),
    content: fc.uint8Array({ maxLength: 1500 }),
    xattrs: fc.dictionary(
      fc.constantFrom("user.a", "user.é", "security.capability", "trusted.x y"),
      fc.uint8Array({ maxLength: 40 }),
    ),
  })
  .map(({ link, device, content, xattrs, ...rest }) => {
    const type = rest.type as TarMember["type"];
    const isDevice = type === "char" || type === "block";
    const body = type === "file" ? content : new Uint8Array();
    const keys = Object.entries(xattrs).map(([key, value]) => [
      Buffer.from(key).toString("latin1"),
      Buffer.from(value),
    ]);
    const member: TarMember = {
      ...rest,
      type,
      size: body.length,
      mtimeNs: 0,
      linkName: type === "symlink" || type === "hardlink" ? link : "",
      deviceMajor: isDevice ? device[0] : 0,
      deviceMinor: isDevice ? device[1] : 0,
      ...(keys.length === 0 ? {} : { xattrs: Object.fromEntries(keys) }),
    };
    return { member, content: body };
  });

test("TarReader reads back what encodeTarMember writes, in pieces of any size", () => {
  fc.assert(
    fc.property(fc.array(anyMember, { maxLength: 5 }), fc.integer({ min: 1, max: 1100 }), (members, step) => {
      const archive = writeTar(members);
      const read = readTar(archive, step);
      assert.equal(read.length, members.length);
      for (const [position, { member, content }] of members.entries()) {
        const { content: readContent, dataOffset, ...readMember } = read[position]!;
        const name = member.type === "directory" ? `${member.name}/` : member.name;
        assert.deepEqual(
          { ...readMember, xattrs: { ...readMember.xattrs } },
          { ...member, name, xattrs: { ...member.xattrs } },
        );
        assert.deepEqual(readContent, Buffer.from(content));
        assert.deepEqual(archive.subarray(dataOffset, dataOffset + content.length), Buffer.from(content));
      }
    }),
    { numRuns: 150 },
  );
});

test("encodeTarMember writes pax records only where a value needs one", () => {
  const length = (part: Partial<TarMember>) => encodeTarMember({ ...plain, ...part }).length;
  const deep = `${"d".repeat(90)}/${"e".repeat(64)}/${"n".repeat(100)}`;
  assert.equal(length({ name: "a".repeat(100) }), TAR_BLOCK);
  assert.equal(length({ name: "a".repeat(101) }), 3 * TAR_BLOCK);
  assert.equal(length({ name: deep }), TAR_BLOCK);
  assert.equal(length({ name: `${deep}n` }), 3 * TAR_BLOCK);
  assert.equal(length({ name: "é" }), 3 * TAR_BLOCK);
  assert.equal(length({ uid: 0o7777777 }), TAR_BLOCK);
  assert.equal(length({ uid: 0o7777777 + 1 }), 3 * TAR_BLOCK);
  assert.equal(length({ mtime: 5, mtimeNs: 5 }), TAR_BLOCK);
  assert.equal(length({ mtime: -1 }), 3 * TAR_BLOCK);
  assert.equal(length({ size: 8 * 2 ** 30 - 1 }), TAR_BLOCK);
  assert.equal(length({ size: 8 * 2 ** 30 }), 3 * TAR_BLOCK);
});

const skip = process.platform === "linux" && process.getuid?.() === 0 ? false : "needs root on Linux";

test("GNU tar reads what encodeTarMember writes", { skip }, (t) => {
  const directory = mkdtempSync(join(tmpdir(), "tar-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const content = Buffer.from("hello");
  const long = `${"l".repeat(120)}/${"m".repeat(200)}`;
  const xattrs = { "user.note": Buffer.from("a\0b\n=") };
  const archive = writeTar([
    { member: { ...plain, name: "d", type: "directory", mode: 0o1777, uid: 7, gid: 3_000_000, mtime: 1000 } },
    { member: { ...plain, name: "d/f", mode: 0o4755, size: 5, mtime: -20, xattrs }, content },
    { member: { ...plain, name: "d/hard", type: "hardlink", linkName: "d/f" } },
    { member: { ...plain, name: "d/sym", type: "symlink", linkName: "x".repeat(150), mode: 0o777 } },
    { member: { ...plain, name: "d/fifo", type: "fifo" } },
    { member: { ...plain, name: "d/null", type: "char", deviceMajor: 1, deviceMinor: 3 } },
    { member: { ...plain, name: "d/\xff\xfe", size: 5 }, content },
    { member: { ...plain, name: long, size: 5 }, content },
  ]);
  writeFileSync(join(directory, "a.tar"), archive);
  mkdirSync(join(directory, "out"));
  const options = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "-p"];
  execFileSync("tar", ["-xf", join(directory, "a.tar"), "-C", join(directory, "out"), ...options]);
  const at = (name: string) => join(directory, "out", name);
  const d = lstatSync(at("d"));
  assert.deepEqual([d.mode & 0o7777, d.uid, d.gid, d.mtimeMs], [0o1777, 7, 3_000_000, 1_000_000]);
  const f = lstatSync(at("d/f"));
  assert.deepEqual([f.mode & 0o7777, f.nlink, f.mtimeMs], [0o4755, 2, -20_000]);
  assert.equal(lstatSync(at("d/hard")).ino, f.ino);
  assert.deepEqual(loadLibc().lgetxattr(at("d/f"), "user.note"), xattrs["user.note"]);
  assert.equal(readlinkSync(at("d/sym")), "x".repeat(150));
  assert.ok(lstatSync(at("d/fifo")).isFIFO());
  assert.equal(lstatSync(at("d/null")).rdev, 0x103);
  assert.equal(readFileSync(Buffer.from(at("d/\xff\xfe"), "latin1"), "latin1"), "hello");
  assert.equal(readFileSync(at(long), "latin1"), "hello");
});

for (const format of ["gnu", "pax", "ustar", "oldgnu", "v7"]) {
  test(`TarReader reads GNU tar's ${format} format`, { skip }, (t) => {
    const directory = mkdtempSync(join(tmpdir(), "tar-"));
    t.after(() => rmSync(directory, { recursive: true }));
    const from = join(directory, "in");
    mkdirSync(join(from, "dir"), { recursive: true });
    writeFileSync(join(from, "dir/f"), "content", { mode: 0o640 });
    linkSync(join(from, "dir/f"), join(from, "dir/g"));
    symlinkSync("f", join(from, "dir/s"));
    const isLong = format !== "v7" && format !== "ustar";
    const long = isLong ? `dir/${"n".repeat(200)}` : "dir/n";
    writeFileSync(join(from, long), "long");
    if (isLong) symlinkSync("t".repeat(180), join(from, "dir/longlink"));
    const options = format === "pax" ? ["--xattrs"] : [];
    if (format === "pax") loadLibc().lsetxattr(join(from, "dir/f"), "user.k", Buffer.from("v"));
    const names = readdirSync(join(from, "dir"))
      .map((name) => `dir/${name}`)
      .sort();
    const archive = execFileSync("tar", [
      `--format=${format}`,
      "-C",
      from,
      ...options,
      "--no-recursion",
      "-cf",
      "-",
      "dir",
      ...names,
    ]);
    const read = new Map(readTar(archive, 777).map((member) => [member.name, member]));
    assert.equal(read.get("dir/f")!.content.toString(), "content");
    assert.equal(read.get("dir/f")!.mode, 0o640);
    assert.deepEqual([read.get("dir/g")!.type, read.get("dir/g")!.linkName], ["hardlink", "dir/f"]);
    assert.deepEqual([read.get("dir/s")!.type, read.get("dir/s")!.linkName], ["symlink", "f"]);
    assert.equal(read.get("dir/")!.type, "directory");
    assert.equal(read.get(long)!.content.toString(), "long");
    const f = lstatSync(join(from, "dir/f"), { bigint: true });
    const nanoseconds =
      BigInt(read.get("dir/f")!.mtime) * 1_000_000_000n + BigInt(read.get("dir/f")!.mtimeNs);
    assert.equal(nanoseconds, format === "pax" ? f.mtimeNs : (f.mtimeNs / 1_000_000_000n) * 1_000_000_000n);
    if (isLong) assert.equal(read.get("dir/longlink")!.linkName, "t".repeat(180));
    if (format === "pax") assert.equal(Buffer.from(read.get("dir/f")!.xattrs!["user.k"]!).toString(), "v");
  });
}

for (const format of [
  "--format=gnu",
  "--sparse-version=0.0",
  "--sparse-version=0.1",
  "--sparse-version=1.0",
]) {
  test(`a sparse file of an archive (${format}) has its holes once unpacked`, { skip }, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), "tar-"));
    t.after(() => rmSync(directory, { recursive: true }));
    const path = join(directory, "sparse");
    const fd = openSync(path, "w");
    // More stretches of data than one header and one further block take.
    for (let at = 0; at < 40; at++) writeSync(fd, `data ${at}`, at * 64 * 1024 + 7);
    ftruncateSync(fd, 4 << 20);
    closeSync(fd);
    writeFileSync(join(directory, "plain"), "after it");
    const archive = execFileSync(
      "tar",
      [
        ...(format === "--format=gnu" ? [] : ["--format=pax"]),
        format,
        "--sparse",
        "-C",
        directory,
        "-cf",
        "-",
        "sparse",
        "plain",
      ],
      { maxBuffer: 64 << 20 },
    );
    assert.ok(archive.length < 1 << 20, "the archive is no smaller than the file");
    for (const size of [archive.length, 1000]) {
      const chunks = Array.from({ length: Math.ceil(archive.length / size) }, (_, at) =>
        archive.subarray(at * size, (at + 1) * size),
      );
      const layer = await unpackArchive({
        open: () => chunks,
        size: archive.length,
        layersDirectory: join(directory, `layers-${size}`),
      });
      using tree = openUnionTree([layer!]);
      const read = (name: string) => tree.readWhole(tree.lookup(pathFromText(name))!, 8 << 20);
      assert.ok(read("sparse").equals(readFileSync(path)));
      assert.equal(read("plain").toString(), "after it");
    }
  });
}

test("TarReader refuses sparse attributes that no file can have", () => {
  const sparse = (type: string, records: Readonly<Record<string, string>>) => {
    const body = formatPaxRecords(
      new Map(Object.entries(records).map(([key, value]) => [`GNU.sparse.${key}`, value])),
    );
    const pax = encodeTarMember({ ...plain, name: "x", size: body.length });
    pax.write("x", 156, "latin1");
    const file = encodeTarMember(plain);
    file.write(type, 156, "latin1");
    for (const block of [pax, file])
      block.write(`${tarChecksum(block).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    return Buffer.concat([pax, body, Buffer.alloc(tarPadding(body.length)), file, TAR_END]);
  };
  const version = { major: "1", minor: "0" };
  for (const [type, records] of [
    ["0", { size: "-5", map: "" }],
    ["0", { ...version, realsize: "-5" }],
    ["0", { realsize: "5" }],
    ["0", { map: "0,0" }],
    ["0", { name: "other" }],
    ["1", { size: "5", map: "" }],
    ["2", { ...version, realsize: "5" }],
    ["3", { size: "5", map: "" }],
    ["5", { ...version, realsize: "5" }],
    ["6", { size: "5", map: "5,0" }],
  ] as const)
    assert.throws(() => readTar(sparse(type, records)), { code: "image-invalid", message: /sparse file/ });
  assert.equal(readTar(sparse("0", { size: "5", map: "5,0" }))[0]!.content.length, 5);
});

test("TarReader reads base-256 numbers, negative ones too", () => {
  const block = encodeTarMember(plain);
  block.write("\x80\0\0\0\0\0\0\x02\0\0\0\0", 124, "latin1");
  block.fill(0xff, 136, 148);
  block.write(`${tarChecksum(block).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  const seen: TarMember[] = [];
  const reader = new TarReader({ member: (member) => seen.push(member), content() {}, memberEnd() {} });
  reader.write(block);
  assert.equal(seen[0]!.size, 2 ** 33);
  assert.equal(seen[0]!.mtime, -1);
  assert.throws(() => reader.end(), { code: "image-invalid", message: /cut off/ });
});

test("TarReader refuses numbers that no field of an index holds, and attributes that Linux has no room for", () => {
  const withNumber = (offset: number, bytes: string, type = "0") => {
    const block = encodeTarMember(plain);
    block.write(bytes, offset, "latin1");
    block.write(type, 156);
    block.write(`${tarChecksum(block).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    return Buffer.concat([block, Buffer.alloc(1024)]);
  };
  const negative = "\xff".repeat(12);
  for (const type of ["0", "x", "L"]) {
    assert.throws(() => readTar(withNumber(124, negative, type)), { code: "image-invalid" }, type);
  }
  // Five bytes of a device number.
  assert.throws(() => readTar(withNumber(329, "\x80\0\0\x01\0\0\0\0", "3")), { code: "image-invalid" });
  const attribute = { ...plain, xattrs: { [`user.${"n".repeat(65_536)}`]: Buffer.from("v") } };
  assert.throws(() => readTar(encodeTarMember(attribute)), {
    code: "image-invalid",
    message: /longer than 255/,
  });
});

test("TarReader refuses what is no tar", () => {
  assert.throws(() => readTar(Buffer.alloc(1024, 65)), { code: "image-invalid", message: /checksum|octal/ });
  assert.throws(() => readTar(encodeTarMember(plain).subarray(0, 300)), { message: /cut off/ });
  const between = Buffer.concat([encodeTarMember(plain), Buffer.alloc(512), encodeTarMember(plain)]);
  assert.throws(() => readTar(between), { message: /zero block/ });
  const unknown = encodeTarMember(plain);
  unknown.write("Z", 156);
  unknown.write(`${tarChecksum(unknown).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  assert.throws(() => readTar(unknown), { message: /unknown type/ });
  const huge = encodeTarMember({ ...plain, size: 2 << 20 });
  huge.write("x", 156);
  huge.write(`${tarChecksum(huge).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  assert.throws(() => readTar(huge), { code: "input-limit" });
});

test("TarReader accepts an empty input and ignores what follows the end", () => {
  assert.deepEqual(readTar(new Uint8Array()), []);
  assert.equal(readTar(Buffer.concat([writeTar([{ member: plain }]), Buffer.alloc(700, 65)])).length, 1);
});
