import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { TarReader } from "../../src/rootfs/tar-reader.ts";
import { paxRecord, rawMember } from "../raw-tar.ts";

const END = Buffer.alloc(1024);
/** A whole member in the place of a file's content. */
const HIDDEN = rawMember({ type: "0", name: "hidden", content: "smuggled" });

function listMembers(tar: Buffer): string[] {
  const names: string[] = [];
  const handler = {
    member: ({ name }: { name: string }) => void names.push(name),
    content() {},
    memberEnd() {},
  };
  const reader = new TarReader(handler);
  reader.write(tar);
  reader.end();
  return names;
}

/** GNU tar, as the judge of what an archive has. */
function listByTar(tar: Buffer): string[] {
  return execFileSync("tar", ["-t"], { input: tar, encoding: "utf8" }).trim().split("\n");
}

for (const [name, tar] of Object.entries({
  "CVE-2025-62518: a size in a pax record that the header contradicts": [
    rawMember({ type: "x", content: paxRecord("size", String(HIDDEN.length)) }),
    rawMember({ type: "0", name: "outer", size: 0 }),
    HIDDEN,
    rawMember({ type: "0", name: "last" }),
  ],
  "CVE-2026-53655: a size in a pax record before another header of the same member": [
    rawMember({ type: "x", content: paxRecord("size", String(HIDDEN.length)) }),
    rawMember({ type: "L", name: "././@LongLink", content: "long\0" }),
    rawMember({ type: "0", name: "short", size: 0 }),
    HIDDEN,
    rawMember({ type: "0", name: "last" }),
  ],
})) {
  test(name, () => {
    const bytes = Buffer.concat([...tar, END]);
    const names = listMembers(bytes);
    assert.deepEqual(names, listByTar(bytes));
    assert.ok(!names.includes("hidden"));
  });
}

test("a pax record whose length not every program can read is refused", () => {
  for (const length of ["0x1a", "2.6e1", "+26", " 26", "026e0", ""]) {
    const record = `${length} path=name that is taken\n`;
    const tar = Buffer.concat([rawMember({ type: "x", content: record }), rawMember({ type: "0" }), END]);
    assert.throws(() => listMembers(tar), { code: "image-invalid" }, length);
  }
});

test("CVE-2025-58183: the map of a sparse file without end", () => {
  const map = `${"9".repeat(15)}\n${"0\n".repeat(1 << 20)}`;
  const records = ["major=1", "minor=0", "name=s", "realsize=1"].map((record) => {
    const [key = "", value = ""] = record.split("=");
    return paxRecord(`GNU.sparse.${key}`, value);
  });
  const inFront = [
    rawMember({ type: "x", content: records.join("") }),
    rawMember({ type: "0", content: map }),
  ];
  assert.throws(() => listMembers(Buffer.concat(inFront)), {
    code: "input-limit",
    message: /\(header-size\)/,
  });
  const old = rawMember({ type: "S", name: "s" });
  old[482] = 1;
  old.write("        ", 148);
  old.write(
    `${old
      .reduce((total, byte) => total + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
    148,
    "latin1",
  );
  const block = Buffer.alloc(512, "00000000000\0");
  block[504] = 1;
  const endless = Buffer.concat([old, ...Array.from({ length: 2100 }, () => block)]);
  assert.throws(() => listMembers(endless), { code: "input-limit", message: /\(header-size\)/ });
});

test("the records of a sparse map are read in a time that grows with their number", () => {
  const pairs = Array.from({ length: 17_000 }, (_, at) =>
    [paxRecord("GNU.sparse.offset", String(at)), paxRecord("GNU.sparse.numbytes", "0")].join(""),
  );
  const records = `${paxRecord("GNU.sparse.size", "17000")}${pairs.join("")}`;
  const tar = [rawMember({ type: "x", content: records }), rawMember({ type: "0", name: "s" }), END];
  assert.deepEqual(listMembers(Buffer.concat(tar)), ["s"]);
});
