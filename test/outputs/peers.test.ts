import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench } from "../build-bench.ts";
import { runCommand } from "../slipway.ts";
import { dockerMissing, startDocker } from "../start-docker.ts";

const DOCKERFILE = `FROM scratch AS files
COPY --chmod=4750 --chown=7:8 tool /bin/tool
COPY dir /dir
FROM busybox AS app
COPY --from=files / /
COPY dir/link /dir/sub/link
ENV GREETING=hello
CMD ["sh", "-c", "echo $GREETING; cat /dir/f"]
`;

/** Debian's programs, which have to understand what slipway makes. */
function missing(program: string): string | false {
  return existsSync(`/usr/bin/${program}`) ? false : `${program} is missing (apt-get install ${program})`;
}

describe("other programs take what slipway makes:", {
  skip: process.getuid?.() !== 0 && "needs root",
}, () => {
  let bench: BuildBench;
  let context: string;
  let expected: string;
  before(async () => {
    bench = await openBuildBench();
    context = bench.context({ Dockerfile: DOCKERFILE, tool: "t", "dir/f": "from a file\n" });
    await run("ln", ["-s", "f", join(context, "dir/link")]);
    await run("touch", ["-d", "@1000000000", join(context, "dir/f"), join(context, "tool")]);
    const tar = join(bench.directory, "files.tar");
    await build(["-o", `type=tar,dest=${tar}`]);
    expected = await listTar(tar);
  });
  after(() => bench[Symbol.dispose]());

  async function run(program: string, args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runCommand(program, args);
    assert.equal(code, 0, `${program} ${args.join(" ")}\n${stderr}`);
    return stdout;
  }
  async function build(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<void> {
    const { code, stderr } = await bench.run(["build", "--progress=plain", ...args, context], { env });
    assert.equal(code, 0, stderr);
  }
  /** Type, mode, owner, size, time and link of every path; without what a container engine adds. */
  async function listTar(path: string): Promise<string> {
    const list = await run("tar", ["--numeric-owner", "--utc", "--full-time", "-tvf", path]);
    return comparable(list.split("\n"));
  }
  function comparable(lines: readonly string[]): string {
    return (
      lines
        .map((line) => line.replace(/\s+/g, " ").trim())
        .filter(
          (line) =>
            line !== "" && !/ (?:\.dockerenv|(?:dev|proc|sys|etc)\/.*|(?:dev|proc|sys|etc)\/?)$/.test(line),
        )
        // busybox's applets are links of the time of the test.
        .filter((line) => !/ bin\/.* -> busybox$/.test(line))
        .sort()
        .join("\n")
    );
  }

  it("docker loads it, runs it and exports the same files", {
    skip: dockerMissing,
    timeout: 120_000,
  }, async () => {
    await using docker = await startDocker();
    await build(["--load", "-t", "loaded:1"], { DOCKER_HOST: docker.socket });
    const ran = await docker.run(["run", "--rm", "--network=none", "loaded:1"]);
    assert.equal(ran.stdout, "hello\nfrom a file\n");
    const archive = join(bench.directory, "docker.tar");
    await build(["-o", `type=docker,dest=${archive},name=archived:1`, "-o", "type=docker,name=engine:1"], {
      DOCKER_HOST: docker.socket,
    });
    const loaded = await docker.run(["load", "-i", archive]);
    assert.match(loaded.stdout, /Loaded image: archived:1/);
    await docker.run(["inspect", "engine:1"]);
    const { stdout } = await docker.run(["create", "--network=none", "archived:1"]);
    const exported = join(bench.directory, "exported.tar");
    await docker.run(["export", "-o", exported, stdout.trim()]);
    assert.equal(await listTar(exported), expected);
  });

  it("skopeo inspects and copies every form", { skip: missing("skopeo") }, async () => {
    const forms = ["type=oci", "type=oci,compression=zstd", "type=docker", "type=oci,oci-mediatypes=false"];
    for (const [at, form] of forms.entries()) {
      const path = join(bench.directory, `skopeo-${at}.tar`);
      await build(["-o", `${form},dest=${path},name=x/app:1`]);
      const source = form === "type=docker" ? `docker-archive:${path}` : `oci-archive:${path}`;
      const facts = JSON.parse(await run("skopeo", ["inspect", "--config", source]));
      assert.ok(facts.config.Env.includes("GREETING=hello"), form);
      await run("skopeo", ["copy", source, `dir:${join(bench.directory, `skopeo-${at}`)}`]);
    }
  });

  it("umoci unpacks the same files", { skip: missing("umoci") }, async () => {
    const layout = join(bench.directory, "umoci");
    await build(["-o", `type=oci,tar=false,dest=${layout},name=app:1`]);
    const bundle = join(bench.directory, "bundle");
    await run("umoci", ["unpack", "--image", `${layout}:1`, bundle]);
    const tar = join(bench.directory, "umoci.tar");
    const names = readdirSync(join(bundle, "rootfs")).sort();
    await run("tar", ["-C", join(bundle, "rootfs"), "--sort=name", "-cf", tar, ...names]);
    assert.equal(await listTar(tar), expected);
  });

  it("buildah builds on it", { skip: missing("buildah") }, async () => {
    const archive = join(bench.directory, "buildah.tar");
    await build(["-o", `type=oci,dest=${archive},name=app:1`]);
    const root = join(bench.directory, "buildah");
    mkdirSync(root);
    const where = ["--root", join(root, "root"), "--runroot", join(root, "run"), "--storage-driver=vfs"];
    const container = (await run("buildah", [...where, "from", `oci-archive:${archive}`])).trim();
    const mounted = (await run("buildah", [...where, "mount", container])).trim();
    assert.equal(readFileSync(join(mounted, "dir/f"), "utf8"), "from a file\n");
    await run("buildah", [...where, "rm", container]);
  });
});
