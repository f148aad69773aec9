import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";

const SECRET = "hush-8f3a1c-no-one-may-see-this";

describe("RUN --mount=type=secret", { skip: runMissing }, () => {
  let bench: BuildBench;
  let secretFile: string;
  beforeEach(async () => {
    bench = await openBuildBench();
    secretFile = join(bench.directory, "secret");
    writeFileSync(secretFile, SECRET);
  });
  afterEach(() => bench[Symbol.dispose]());

  const build = (dockerfile: string, args: readonly string[], env: Record<string, string> = {}) =>
    bench.run(["build", "--progress=plain", ...args, bench.context({ Dockerfile: dockerfile })], { env });

  async function printed(
    instruction: string,
    args: readonly string[],
    env?: Record<string, string>,
  ): Promise<string> {
    const { code, stderr } = await build(`FROM busybox\nRUN ${instruction}`, args, env);
    assert.equal(code, 0, stderr);
    return stderr.replaceAll(/^#\d+ [\d.]+ /gm, "");
  }

  it("is nowhere afterwards: not in the store, the output, the log, the history or a key", async () => {
    const out = join(bench.directory, "out");
    const { code, stdout, stderr } = await build(
      `FROM busybox
       RUN --mount=type=secret,id=a --mount=type=secret,id=b,env=TOKEN [ "$(cat /run/secrets/a)" = "$TOKEN" ] && echo same
       RUN --mount=type=secret,id=a,target=/etc/app/token wc -c < /etc/app/token > /size
       RUN --mount=type=secret,id=b,env=TOKEN test -n "$TOKEN"`,
      [
        "--secret",
        `id=a,src=${secretFile}`,
        "--secret",
        "id=b,env=HUSH",
        "-t",
        "app",
        "-o",
        `type=oci,dest=${out},tar=false`,
      ],
      { HUSH: SECRET },
    );
    assert.equal(code, 0, stderr);
    assert.match(stderr, /same/);
    assert.ok(!`${stdout}${stderr}`.includes(SECRET));
    assert.equal(
      await bench.run(["history", "--no-trunc", "app"]).then((result) => result.stdout.includes(SECRET)),
      false,
    );
    assert.deepEqual(filesWith(bench.root), []);
    assert.deepEqual(filesWith(out), []);
    assert.equal(inLayers(out), false);
  });

  it("is nowhere while a step fails or is killed either", async () => {
    const { code } = await build(
      "FROM busybox\nRUN --mount=type=secret,id=a,required cat /run/secrets/a > /dev/null && false",
      ["--secret", `id=a,src=${secretFile}`],
    );
    assert.equal(code, 1);
    assert.deepEqual(filesWith(bench.root), []);
  });

  it("would be found if a command wrote it: the search can tell", async () => {
    const { code } = await build("FROM busybox\nRUN --mount=type=secret,id=a cp /run/secrets/a /leak", [
      ...["--secret", `id=a,src=${secretFile}`, "-t", "app"],
    ]);
    assert.equal(code, 0);
    assert.notDeepEqual(filesWith(bench.root), []);
  });

  it("has the owner, mode and place that the mount asks for", async () => {
    const stat = "stat -c '%u:%g %a %n'";
    const secret = ["--secret", `id=a,src=${secretFile}`];
    assert.match(
      await printed(`--mount=type=secret,id=a ${stat} /run/secrets/a`, secret),
      /^0:0 400 \/run\/secrets\/a$/m,
    );
    const own = "--mount=type=secret,id=a,uid=12,gid=34,mode=0604,target=/x/y";
    assert.match(await printed(`${own} ${stat} /x/y`, secret), /^12:34 604 \/x\/y$/m);
  });

  it("is given as a file and as a variable at once, and as a variable alone", async () => {
    const secret = ["--secret", `id=a,src=${secretFile}`];
    const both = "--mount=type=secret,id=a,env=T,target=/t";
    assert.match(await printed(`${both} [ "$T" = "$(cat /t)" ] && echo equal`, secret), /^equal$/m);
    assert.match(
      await printed(
        '--mount=type=secret,id=a,env=T [ -n "$T" ] && [ ! -e /run/secrets/a ] && echo alone',
        secret,
      ),
      /^alone$/m,
    );
  });

  it("goes on without a secret unless it is required", async () => {
    assert.match(
      await printed('--mount=type=secret,id=a,env=T [ -z "$T" ] && [ ! -e /run ] && echo none', []),
      /^none$/m,
    );
    const { code, stderr } = await build("FROM busybox\nRUN --mount=type=secret,id=a,required true", []);
    assert.equal(code, 1);
    assert.match(stderr, /^Error: Cannot mount the secret "a": the build was given no secret with that id$/m);
  });

  it("makes no difference to the cache", async () => {
    await printed("--mount=type=secret,id=a cat /run/secrets/a | wc -c", [
      "--secret",
      `id=a,src=${secretFile}`,
    ]);
    writeFileSync(secretFile, "another");
    const text = await printed("--mount=type=secret,id=a cat /run/secrets/a | wc -c", [
      "--secret",
      `id=a,src=${secretFile}`,
    ]);
    assert.match(text, /CACHED/);
  });

  it("cannot be written to, and leaves no mount point", async () => {
    const text = await printed(
      "--mount=type=secret,id=a,target=/deep/er/token (echo x > /deep/er/token) || echo refused\nRUN [ ! -e /deep ] && echo gone",
      ["--secret", `id=a,src=${secretFile}`],
    );
    assert.match(text, /refused/);
    assert.match(text, /^gone$/m);
  });
});

/** Files below a directory, the database included, that hold the secret. */
function filesWith(directory: string): string[] {
  const { stdout, status } = spawnSync("grep", ["-rlaF", SECRET, directory], { encoding: "utf8" });
  assert.ok(status === 0 || status === 1);
  return stdout.split("\n").filter((line) => line !== "");
}

/** Whether a layer of a layout holds it, once it is unpacked. */
function inLayers(layout: string): boolean {
  const directory = join(layout, "blobs/sha256");
  const blobs = execFileSync("ls", [directory], { encoding: "utf8" }).trim().split("\n");
  return blobs.some((name) => {
    const bytes = execFileSync("cat", [join(directory, name)], { maxBuffer: 1 << 30 });
    return (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).includes(SECRET);
  });
}
