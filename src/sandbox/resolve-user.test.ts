import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { makeLayer, makeTemporaryDirectory } from "../../test/make-layers.ts";
import { openUnionTree } from "../rootfs/union-tree.ts";
import { resolveUser } from "./resolve-user.ts";

const PASSWD = `root:x:0:0:root:/root:/bin/sh
toor:x:0:0::/toor:/bin/sh
app:x:1000:100:App:/home/app:/bin/sh
  bare:x:1001:1001:::
`;
const GROUP = "root:x:5:\nusers:x:100:\nwheel:x:10:root,app\nmedia:x:20:app\n# old:x:30:app\n";

async function userOf(t: TestContext, user: string, { passwd = PASSWD, group = GROUP } = {}) {
  const files = [
    { name: "etc/passwd", content: passwd },
    { name: "etc/group", content: group },
  ];
  using tree = openUnionTree([await makeLayer(makeTemporaryDirectory(t), [{ name: "etc/" }, ...files])]);
  return resolveUser(tree, user);
}

// What BuildKit's executor/oci/user.go does with github.com/moby/sys/user.
for (const [user, uid, gid, additionalGids, home] of [
  ["app", 1000, 100, [100, 10, 20], "/home/app"],
  ["1000", 1000, 100, [100, 10, 20], "/home/app"],
  ["", 0, 0, [0, 10], "/root"],
  ["app:wheel", 1000, 10, [10], "/home/app"],
  ["1000:wheel", 1000, 10, [10], "/home/app"],
  ["1000:7", 1000, 7, [7], "/home/app"],
  ["4:7", 4, 7, [7], "/"],
  ["4", 4, 0, [0], "/"],
  ["root:root", 0, 0, [0], "/root"],
  ["app:root", 1000, 5, [5], "/home/app"],
  ["bare", 1001, 1001, [1001], ""],
  // The runtime knows the number only.
  ["toor", 0, 0, [0], "/root"],
] as const) {
  test(`USER ${user || "that is none"}: ids, groups and home`, async (t) => {
    assert.deepEqual(await userOf(t, user), { uid, gid, additionalGids, home });
  });
}

test("an image without users: root:root is a number, root is a name that is missing", async (t) => {
  const none = { passwd: "", group: "" };
  assert.deepEqual(await userOf(t, "root:root", none), { uid: 0, gid: 0, additionalGids: [0], home: "/" });
  await assert.rejects(userOf(t, "root", none), /Cannot use the user "root"/);
});
