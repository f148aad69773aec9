import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { sharedPath, skipWithout } from "../shared-data.ts";
import { runCommand, slipway } from "../slipway.ts";
import { dockerMissing, startDocker } from "../start-docker.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";

const work = mkdtempSync(join(tmpdir(), "slipway-pull-peers-"));
after(() => rmSync(work, { recursive: true, force: true }));
const tree = join(work, "tree");
const missing = (program: string): string | false =>
  !existsSync(`/usr/bin/${program}`) && `${program} is missing (apt-get install ${program})`;

before(() => {
  mkdirSync(join(tree, "bin"), { recursive: true });
  writeFileSync(join(tree, "bin/tool"), "a tool\n");
  execFileSync("chmod", ["4750", join(tree, "bin/tool")]);
  symlinkSync("bin/tool", join(tree, "link"));
});

/** Pulls into a store of its own. */
async function pull(name: string, ...args: readonly string[]) {
  const root = mkdtempSync(join(work, "store-"));
  const run = async (...more: readonly string[]) => (await slipway(more, { root })).stdout;
  await run("pull", "-q", ...args, name);
  return run;
}

async function mustRun(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(program, args);
  assert.equal(code, 0, `${program} ${args.join(" ")}\n${stderr}`);
  return stdout;
}

/** What is special in `tree`: a link, a mode and content. */
async function assertHasTree(run: Awaited<ReturnType<typeof pull>>, name: string): Promise<void> {
  assert.match(await run("ls", "-l", `${name}:/bin`), /^-rwsr-x--- .* 7 .* tool$/m);
  assert.match(await run("ls", "-l", name), / link -> bin\/tool$/m);
  assert.equal(await run("cat", `${name}:/link`), "a tool\n");
}

test("pull takes what skopeo pushed: an index, with gzip, zstd and plain layers", {
  skip: registryMissing || missing("skopeo") || skipWithout("corpus/images/multiarch"),
}, async () => {
  await using registry = await startRegistry();
  const name = `${registry.host}/multiarch:1`;
  const layout = sharedPath("corpus/images/multiarch");
  await mustRun("skopeo", [
    ...["copy", "--all", "--preserve-digests", "--dest-tls-verify=false"],
    ...[`oci:${layout}:latest`, `docker://${name}`],
  ]);
  for (const platform of ["linux/amd64", "linux/arm64", "linux/arm/v7"]) {
    const [, architecture = "", variant] = platform.split("/");
    const run = await pull(name, "--platform", platform);
    const [image] = JSON.parse(await run("inspect", name));
    assert.equal(image.Architecture, architecture);
    // Which files there are, as GNU tar lists them in the layers that skopeo fetches.
    const directory = join(work, architecture);
    await mustRun("skopeo", [
      ...["copy", "--override-arch", architecture, "--src-tls-verify=false"],
      ...(variant === undefined ? [] : ["--override-variant", variant]),
      ...[`docker://${name}`, `dir:${directory}`],
    ]);
    const manifest = JSON.parse(readFileSync(join(directory, "manifest.json"), "utf8"));
    const layers = manifest.layers.map(({ digest }: { digest: string }) =>
      join(directory, digest.slice("sha256:".length)),
    );
    const expected = new Set<string>();
    for (const layer of layers) {
      const lines = (await mustRun("tar", ["-tf", layer])).trim().split("\n");
      for (const line of lines) expected.add(line.replace(/^\.?\/|\/$/g, ""));
    }
    expected.delete("");
    const files = (await run("ls", "-R", name)).trim().split("\n");
    assert.ok(files.length > 0);
    assert.deepEqual(files.sort(), [...expected].sort());
  }
});

for (const compression of ["gzip", "zstd"]) {
  test(`pull takes what buildah pushed with ${compression}`, {
    skip:
      registryMissing ||
      missing("buildah") ||
      missing("skopeo") ||
      (process.getuid?.() !== 0 && "needs root"),
  }, async () => {
    await using registry = await startRegistry();
    const store = join(work, `buildah-${compression}`);
    const where = ["--root", join(store, "root"), "--runroot", join(store, "run"), "--storage-driver=vfs"];
    const buildah = async (...args: readonly string[]) =>
      (await mustRun("buildah", [...where, ...args])).trim();
    const container = await buildah("from", "scratch");
    await buildah("copy", container, tree, "/");
    await buildah("config", "--env", "A=b", container);
    await buildah("commit", container, "built:1");
    const name = `${registry.host}/built:1`;
    const format = compression === "zstd" ? ["--format", "oci", "--compression-format", "zstd"] : [];
    await buildah("push", "--tls-verify=false", ...format, "built:1", `docker://${name}`);
    const raw = await mustRun("skopeo", ["inspect", "--raw", "--tls-verify=false", `docker://${name}`]);
    assert.match(raw, new RegExp(`"mediaType": ?"[^"]*[.+]${compression}"`));
    const run = await pull(name);
    await assertHasTree(run, name);
    assert.deepEqual(JSON.parse(await run("inspect", name))[0].Config.Env, ["A=b"]);
  });
}

test("pull takes what docker pushed", {
  skip: registryMissing || dockerMissing,
  timeout: 120_000,
}, async () => {
  await using registry = await startRegistry();
  await using docker = await startDocker();
  const name = `${registry.host}/imported:1`;
  const tar = join(work, "tree.tar");
  await mustRun("tar", ["--owner=0", "--group=0", "-C", tree, "-cf", tar, "."]);
  await docker.run(["import", "--change", "ENV A=b", tar, name]);
  await docker.run(["push", name]);
  const id = (await docker.run(["inspect", "--format", "{{.Id}}", name])).stdout.trim();
  const run = await pull(name);
  await assertHasTree(run, name);
  const [image] = JSON.parse(await run("inspect", name));
  assert.equal(image.Id, id);
  assert.deepEqual(image.Config.Env, ["A=b"]);
});
