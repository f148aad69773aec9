import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench } from "../build-bench.ts";
import { writeLayeredLayout } from "../layered-image.ts";
import { isDockerExported, listDockerFiles } from "../list-docker-files.ts";
import { assertSameFiles, listTar } from "../list-tar.ts";
import type { MemberLike } from "../make-layers.ts";
import { runCommand } from "../slipway.ts";
import { dockerMissing, startDocker } from "../start-docker.ts";

/** `cap_net_bind_service+ep`, as `struct vfs_ns_cap_data` of version 2. */
const CAPABILITY = Buffer.from("0100000200040000000000000000000000000000", "hex");
const LONG = `long/${`${"d".repeat(240)}/`.repeat(4)}`;
const longParents = [1, 2, 3, 4].map((count) => ({ name: `long/${`${"d".repeat(240)}/`.repeat(count)}` }));

/** What odd things file systems and archives have; bottom first. */
const LAYERS: readonly (readonly MemberLike[])[] = [
  [
    { name: "bin/", mode: 0o755 },
    { name: "bin/capable", content: "c", mode: 0o755, xattrs: { "security.capability": CAPABILITY } },
    { name: "bin/setuid", content: "s", mode: 0o6755, uid: 7, gid: 8 },
    { name: "links/" },
    { name: "links/a", content: "one file\n", uid: 1000, gid: 1001, mode: 0o640 },
    { name: "links/b", type: "hardlink", linkName: "links/a", uid: 1000, gid: 1001, mode: 0o640 },
    { name: "links/c", type: "symlink", linkName: "/links/a", mode: 0o777, uid: 5, gid: 6 },
    { name: "links/dangling", type: "symlink", linkName: "../../../nowhere", mode: 0o777 },
    { name: "names/" },
    { name: "names/\xff\xfe not UTF-8", content: "bytes\n" },
    { name: "names/\xc3\xa9t\xc3\xa9", content: "accents\n" },
    { name: "names/new\nline", content: "lines\n" },
    { name: "names/to-bytes", type: "symlink", linkName: "\xff\xfe not UTF-8", mode: 0o777 },
    { name: "nodes/" },
    { name: "nodes/fifo", type: "fifo", mode: 0o600 },
    { name: "nodes/null", type: "char", mode: 0o666, deviceMajor: 1, deviceMinor: 3 },
    { name: "nodes/loop", type: "block", mode: 0o660, gid: 6, deviceMajor: 7, deviceMinor: 0 },
    { name: "xattrs/" },
    { name: "xattrs/user", content: "x", xattrs: { "user.binary": Buffer.from([0, 1, 255]) } },
    { name: "long/" },
    ...longParents,
    { name: `${LONG}file`, content: "deep\n" },
    { name: `${LONG}link`, type: "symlink", linkName: `/${LONG}file`, mode: 0o777 },
    { name: "owner", content: "o", uid: 3_000_000_000, gid: 2_999_999_999 },
    { name: "old", content: "", mtime: 1 },
    { name: "future", content: "", mtime: 0o77777777777 + 1 },
    { name: "gone/" },
    { name: "gone/x", content: "hidden" },
    { name: "opaque/" },
    { name: "opaque/x", content: "hidden" },
    { name: "turns/" },
    { name: "turns/file", content: "was a file" },
    { name: "turns/directory/" },
    { name: "turns/directory/x", content: "hidden" },
    { name: "tmp/", mode: 0o1777 },
    { name: "root/", mode: 0o700 },
    { name: "lib", type: "symlink", linkName: "usr/lib", mode: 0o777 },
    { name: "usr/" },
    { name: "usr/lib/" },
  ],
  [
    { name: ".wh.gone" },
    { name: "opaque/", mode: 0o711 },
    { name: "opaque/new", content: "new\n" },
    { name: "opaque/.wh..wh..opq" },
    { name: "turns/" },
    { name: "turns/file/" },
    { name: "turns/file/y", content: "now a directory\n" },
    { name: "turns/directory", content: "now a file\n" },
    { name: "root/", mode: 0o700 },
    { name: "root/.profile", content: "p\n", mode: 0o600 },
  ],
];

// Not here: parents that a layer does not list. What docker makes of those depends on its storage driver.
const DOCKERFILE = `FROM stress
COPY --from=stress / /copy/
COPY --link --from=stress /links /linked/
COPY --chown=1:2 --chmod=u=rwxs,go= file /tmp/own
CMD ["none"]
`;

describe("a tree of everything odd", { skip: process.getuid?.() !== 0 && "needs root" }, () => {
  let bench: BuildBench;
  let args: readonly string[];
  let expected: readonly string[];
  before(async () => {
    bench = await openBuildBench();
    const layout = join(bench.directory, "stress");
    await writeLayeredLayout(layout, LAYERS);
    const context = bench.context({ Dockerfile: DOCKERFILE, file: "own\n" });
    args = ["--build-context", `stress=oci-layout://${layout}`, context];
    const tar = join(bench.directory, "files.tar");
    await build(["-o", `type=tar,dest=${tar}`]);
    expected = await listTar(tar);
    // Of a file: its facts, its attribute, its hash (`printf c | sha256sum`).
    const hash = "2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6";
    assert.deepEqual(
      expected.filter((line) => line.startsWith(" copy/bin/capable ")),
      [
        " copy/bin/capable -rwxr-xr-x 0/0 1 1970-01-01 00:16:40",
        ` copy/bin/capable has ${hash}  -`,
        " copy/bin/capable has security.capability of 20 bytes",
      ],
    );
  });
  after(() => bench[Symbol.dispose]());

  async function run(program: string, args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runCommand(program, args);
    assert.equal(code, 0, `${program} ${args.join(" ")}\n${stderr}`);
    return stdout;
  }
  async function build(outputs: readonly string[]): Promise<void> {
    const { code, stderr } = await bench.run(["build", "--progress=plain", ...outputs, ...args]);
    assert.equal(code, 0, stderr);
  }
  async function listDirectory(directory: string): Promise<readonly string[]> {
    const tar = `${directory}.tar`;
    const xattrs = ["--xattrs", "--xattrs-include=*", "--format=posix"];
    const names = readdirSync(directory).sort();
    await run("tar", ["-C", directory, ...xattrs, "--sort=name", "-cf", tar, "--", ...names]);
    return listTar(tar);
  }

  it("is the same after docker load and docker export", {
    skip: dockerMissing,
    timeout: 120_000,
  }, async () => {
    await using docker = await startDocker();
    const archive = join(bench.directory, "docker.tar");
    await build(["-o", `type=docker,dest=${archive},name=stress:1`]);
    await docker.run(["load", "-i", archive]);
    assertSameFiles(await listDockerFiles(docker, "stress:1"), expected.filter(isDockerExported));
  });

  it("is the same when umoci unpacks it", { skip: missing("umoci") }, async () => {
    const layout = join(bench.directory, "umoci");
    await build(["-o", `type=oci,tar=false,dest=${layout},name=stress:1`]);
    const bundle = join(bench.directory, "bundle");
    await run("umoci", ["unpack", "--image", `${layout}:1`, bundle]);
    assertSameFiles(await listDirectory(join(bundle, "rootfs")), expected);
  });

  it("is the same when buildah mounts it, out of skopeo's copy", { skip: missing("buildah") }, async () => {
    const archive = join(bench.directory, "buildah.tar");
    await build(["-o", `type=oci,dest=${archive},name=stress:1,compression=zstd`]);
    const copied = join(bench.directory, "skopeo.tar");
    await run("skopeo", ["copy", `oci-archive:${archive}`, `oci-archive:${copied}:1`]);
    const root = join(bench.directory, "buildah");
    mkdirSync(root);
    const where = ["--root", join(root, "root"), "--runroot", join(root, "run"), "--storage-driver=vfs"];
    const container = (await run("buildah", [...where, "from", `oci-archive:${copied}`])).trim();
    const mounted = (await run("buildah", [...where, "mount", container])).trim();
    assertSameFiles(await listDirectory(mounted), expected);
    await run("buildah", [...where, "rm", container]);
  });
});

function missing(program: string): string | false {
  return existsSync(`/usr/bin/${program}`) ? false : `${program} is missing (apt-get install ${program})`;
}
