import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { type MemberLike, makeLayer, makeTemporaryDirectory } from "../../test/make-layers.ts";
import { makeIgnoreMatcher } from "../dockerfile/make-ignore-matcher.ts";
import type { SelectCopyRequest } from "./copy-request.ts";
import { selectCopy } from "./select-copy.ts";

const name = fc.stringMatching(/^[a-z]{1,6}$/);
const content = fc.string({ maxLength: 20 });
const owner = fc.nat(3000);
const mode = fc.integer({ min: 0, max: 0o7777 });

/** A tree with one member of each type, and a file with two names. */
const tree: fc.Arbitrary<MemberLike[]> = fc
  .record({
    names: fc.uniqueArray(name, { minLength: 6, maxLength: 6 }),
    content,
    mode,
    uid: owner,
    gid: owner,
  })
  .map(({ names, mode, uid, gid, content }) => {
    const [file, directory, link, device, hard, fifo] = names as [
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    return [
      { name: `d/${file}`, content, mode, uid, gid, xattrs: { "user.a": Buffer.from("1") } },
      { name: `d/${directory}/`, mode, uid, gid },
      { name: `d/${link}`, type: "symlink", linkName: content || "x", mode: 0o777, uid, gid },
      { name: `d/${device}`, type: "char", deviceMajor: 1, deviceMinor: 3, mode, uid, gid },
      { name: `d/${fifo}`, type: "fifo", mode, uid, gid },
      { name: `d/${hard}`, type: "hardlink", linkName: `d/${file}` },
    ];
  });

const FILE = 0;
const DIRECTORY = 1;
const SYMLINK = 2;
const DEVICE = 3;
const HARD_LINK = 5;

/** One change each; what it is done to. */
const CHANGES: readonly (readonly [what: string, at: number, change: (member: MemberLike) => MemberLike])[] =
  [
    ["content", FILE, (m) => ({ ...m, content: `${m.content}!` })],
    ["content of the same size", FILE, (m) => ({ ...m, content: flip(String(m.content)) })],
    ["mode of a file", FILE, (m) => ({ ...m, mode: m.mode! ^ 0o100 })],
    ["setuid", FILE, (m) => ({ ...m, mode: m.mode! ^ 0o4000 })],
    ["mode of a directory", DIRECTORY, (m) => ({ ...m, mode: m.mode! ^ 0o1000 })],
    ["owner", FILE, (m) => ({ ...m, uid: m.uid! + 1 })],
    ["group", DIRECTORY, (m) => ({ ...m, gid: m.gid! + 1 })],
    ["owner of a link", SYMLINK, (m) => ({ ...m, uid: m.uid! + 1 })],
    ["value of an attribute", FILE, (m) => ({ ...m, xattrs: { "user.a": Buffer.from("2") } })],
    ["name of an attribute", FILE, (m) => ({ ...m, xattrs: { "user.b": Buffer.from("1") } })],
    ["no attribute", FILE, ({ xattrs: _, ...m }) => m],
    ["link target", SYMLINK, (m) => ({ ...m, linkName: `${m.linkName}/` })],
    ["major number", DEVICE, (m) => ({ ...m, deviceMajor: 5 })],
    ["minor number", DEVICE, (m) => ({ ...m, deviceMinor: 5 })],
    ["block device", DEVICE, (m) => ({ ...m, type: "block" })],
    ["name", SYMLINK, (m) => ({ ...m, name: `${m.name}~` })],
    ["file in place of a directory", DIRECTORY, (m) => ({ ...m, name: m.name.slice(0, -1) })],
    ["the second name is a file of its own", HARD_LINK, ({ linkName: _, ...m }) => ({ ...m, type: "file" })],
    ["another file", FILE, (m) => ({ ...m, name: `${m.name}~` })],
  ];

test("selectCopy() never gives two different trees one digest, and changes with nothing else", async (t) => {
  const digest = makeDigest(t);
  await fc.assert(
    fc.asyncProperty(tree, async (members) => {
      const before = await digest(members);
      for (const [what, at, change] of CHANGES) {
        if (what === "content of the same size" && members[FILE]!.content === "") continue;
        const changed = members.map((member, position) => (position === at ? change(member) : member));
        // The other name goes with its file.
        if (what === "another file")
          changed[HARD_LINK] = { ...changed[HARD_LINK]!, linkName: changed[FILE]!.name };
        assert.notEqual(await digest(changed), before, what);
      }
      const [file, ...rest] = members;
      const hardLink = rest.pop()!;
      const same = {
        "other times": members.map((member, n) => ({ ...member, mtime: 5000 + n, mtimeNs: n })),
        "another order": [...rest.toReversed(), file!, hardLink],
      };
      for (const [what, changed] of Object.entries(same)) assert.equal(await digest(changed), before, what);
    }),
    { numRuns: 12 },
  );
});

test("selectCopy(): an owner and a mode that are overwritten do not count", async (t) => {
  const digest = makeDigest(t);
  await fc.assert(
    fc.asyncProperty(tree, owner, mode, async (members, uid, newMode) => {
      const owned = members.map((member) => ({ ...member, uid, gid: uid }));
      assert.equal(await digest(members, { chown: "1:2" }), await digest(owned, { chown: "1:2" }));
      const moded = members.map((member) =>
        member.type === "symlink" ? member : { ...member, mode: newMode },
      );
      assert.equal(await digest(members, { chmod: "0640" }), await digest(moded, { chmod: "0640" }));
    }),
    { numRuns: 12 },
  );
});

function makeDigest(t: TestContext) {
  const directory = makeTemporaryDirectory(t);
  return async (members: readonly MemberLike[], options: Partial<SelectCopyRequest> = {}) => {
    const layer = await makeLayer(directory, members);
    const { contentDigest, selectionPath } = selectCopy(
      {
        sources: [{ kind: "path", tree: { kind: "layers", layers: [layer] }, path: "/d" }],
        destination: "/to/",
        temporaryDirectory: directory,
        ...options,
      },
      { makeIgnoreMatcher },
    );
    rmSync(selectionPath);
    return contentDigest;
  };
}

function flip(text: string): string {
  return (text.startsWith("a") ? "b" : "a") + text.slice(1);
}
