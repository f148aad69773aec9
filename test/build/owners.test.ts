import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { openBuildBench } from "../build-bench.ts";
import { listTar } from "../list-tar.ts";

test("root and numbers are owners without a look into the image, names with one", async () => {
  using bench = await openBuildBench();
  const tar = join(bench.directory, "files.tar");
  const dockerfile = `FROM scratch
COPY --chown=root:root passwd /etc/passwd
USER 1000
WORKDIR /number
USER app
WORKDIR /name
USER root:5
WORKDIR /root
`;
  const { code, stderr } = await bench.build(dockerfile, {
    files: { passwd: "app:x:1000:100:::\n" },
    args: ["-o", `type=tar,dest=${tar}`],
  });
  assert.equal(code, 0, stderr);
  // As BuildKit's llb.WithUser and readUser have it: a number brings the group of the same number.
  const owners = (await listTar(tar)).flatMap(
    (line) => / (\S+) [d-][rwx-]{9} (\d+\/\d+) /.exec(line)?.slice(1, 3).join(" ") ?? [],
  );
  assert.deepEqual(
    owners.filter((line) => !line.startsWith("etc/ ")),
    ["etc/passwd 0/0", "name/ 1000/100", "number/ 1000/1000", "root/ 0/5"],
  );
});
