import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pushLayout, writeLayeredLayout } from "../layered-image.ts";
import {
  NOBODY,
  openUnprivilegedSlipway,
  type UnprivilegedSlipway,
  unprivilegedMissing,
} from "../run-unprivileged.ts";
import { runCommand } from "../slipway.ts";
import { type RunningRegistry, registryMissing, startRegistry } from "../start-registry.ts";
import { validateImageLayout } from "../validate-image.ts";

const BASE = [
  { name: "etc/" },
  { name: "etc/passwd", content: "app:x:7:8::/:/bin/false\n" },
  { name: "etc/group", content: "staff:x:9:\n" },
  { name: "root/", mode: 0o700 },
];
const makeDockerfile = (base: string) => `FROM ${base} AS files
WORKDIR /work/deep
COPY --chown=app:staff --chmod=4711 file /root/own
ADD archive.tgz /archive/
FROM ${base}
USER app
WORKDIR /home/app
COPY --from=files / /
COPY --link <<EOF /inline
inline
EOF
`;

describe("a build without RUN, by nobody in a container that may do nothing,", {
  skip: unprivilegedMissing || registryMissing,
}, () => {
  let registry: RunningRegistry;
  let directory: string;
  let context: string;
  let slipway: UnprivilegedSlipway;
  before(async () => {
    registry = await startRegistry();
    directory = mkdtempSync(join(tmpdir(), "slipway-nobody-"));
    slipway = await openUnprivilegedSlipway(directory);
    const layout = join(directory, "base");
    await writeLayeredLayout(layout, [BASE]);
    await pushLayout(layout, `${registry.host}/base:1`);
    context = join(directory, "context");
    mkdirSync(context);
    writeFileSync(join(context, "file"), "from the context\n", { mode: 0o644 });
    const archive = ["--owner=0", "--group=0", "-C", context, "-czf", join(context, "archive.tgz"), "file"];
    execFileSync("tar", archive);
    writeFileSync(join(context, "Dockerfile"), makeDockerfile(`${registry.host}/base:1`));
    chownSync(context, NOBODY, NOBODY);
  });
  after(async () => {
    await registry[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  async function build(args: readonly string[]): Promise<void> {
    const { code, stdout, stderr } = await slipway.run(["build", "--progress=plain", ...args, context]);
    assert.equal(code, 0, stdout + stderr);
  }
  async function copyImage(from: string, name: string): Promise<string> {
    const layout = join(directory, name);
    const args = ["copy", "--src-tls-verify=false", from, `oci:${layout}:1`];
    const { code, stderr } = await runCommand("skopeo", args);
    assert.equal(code, 0, stderr);
    return layout;
  }
  /** Owners and modes that nobody could give to a file on disk. */
  async function checkLayout(layout: string): Promise<void> {
    const [image] = await validateImageLayout(layout);
    const members = new Map(image!.layers.flat().map((member) => [member.path, member]));
    const facts = (path: string) => {
      const { uid, gid, mode } = members.get(path)!;
      return { uid, gid, mode };
    };
    assert.deepEqual(facts("root/own"), { uid: 7, gid: 9, mode: 0o4711 });
    assert.deepEqual(facts("root"), { uid: 0, gid: 0, mode: 0o700 });
    assert.deepEqual(facts("home/app"), { uid: 7, gid: 8, mode: 0o755 });
    assert.deepEqual(facts("archive/file"), { uid: 0, gid: 0, mode: 0o644 });
  }

  it("makes an OCI layout", async () => {
    const layout = join(directory, "home/oci");
    await build(["-o", `type=oci,tar=false,dest=${layout}`]);
    await checkLayout(layout);
  });

  it("makes a docker archive", async () => {
    const archive = join(directory, "home/docker.tar");
    await build(["-o", `type=docker,dest=${archive},name=app:1`]);
    await checkLayout(await copyImage(`docker-archive:${archive}`, "docker"));
  });

  it("pushes to a registry", async () => {
    await build(["--push", "-t", `${registry.host}/app:1`]);
    await checkLayout(await copyImage(`docker://${registry.host}/app:1`, "pushed"));
  });

  it("keeps an image in the store", async () => {
    await build(["-t", "kept:1"]);
    const { stdout, stderr } = await slipway.run(["cat", "kept:1:/root/own"]);
    assert.equal(stdout, "from the context\n", stderr);
  });

  it("says which file of the context it may not read", async () => {
    const closed = join(directory, "closed");
    mkdirSync(closed);
    writeFileSync(join(closed, "Dockerfile"), "FROM scratch\nCOPY . /\n", { mode: 0o644 });
    // docker opens empty ones, too.
    for (const content of ["private", ""]) {
      rmSync(join(closed, "key"), { force: true });
      writeFileSync(join(closed, "key"), content, { mode: 0 });
      const store = join(directory, "closed-store");
      const { code, stderr } = await slipway.run(["--root", store, "build", "-q", closed]);
      assert.match(stderr, /^Error: Cannot read "\/key" in the source: permission denied$/m);
      assert.match(stderr, /\nHint: Make it readable, or leave it out: a line in \.dockerignore$/m);
      assert.equal(code, 1);
    }
  });

  it("is really allowed nothing", async () => {
    const status = await slipway.execute("/bin/sh", [
      "-c",
      "id -u; grep ^Cap /proc/self/status; unshare --user true",
    ]);
    assert.match(status.stdout, /^65534\n(Cap\w+:\t0+\n){5}$/);
    assert.match(status.stderr, /unshare failed/);
  });
});
