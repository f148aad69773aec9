import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench } from "../build-bench.ts";
import { runCommand } from "../slipway.ts";
import { startFaultProxy } from "../start-fault-proxy.ts";
import { type RunningRegistry, registryMissing, startRegistry } from "../start-registry.ts";
import { makeTinyImage, writeTinyLayout } from "../tiny-image.ts";
import { validateImageLayout } from "../validate-image.ts";

/** Large enough that to fetch and to mount are told apart in the log. */
const BASE_BYTES = 200_000;

describe("pushing an image", { skip: registryMissing }, () => {
  let registry: RunningRegistry;
  let bench: BuildBench;
  before(async () => {
    registry = await startRegistry();
    bench = await openBuildBench();
    const layout = join(bench.directory, "layout");
    await writeTinyLayout(makeTinyImage(BASE_BYTES), layout);
    const args = [
      "copy",
      "--preserve-digests",
      "--dest-tls-verify=false",
      `oci:${layout}:latest`,
      `docker://${registry.host}/base:1`,
    ];
    const { code, stderr } = await runCommand("skopeo", args);
    assert.equal(code, 0, stderr);
  });
  after(async () => {
    bench[Symbol.dispose]();
    await registry[Symbol.asyncDispose]();
  });

  /** The requests that the registry gets meanwhile: `GET /v2/...`. */
  async function requestsOf(work: () => Promise<void>): Promise<string[]> {
    const before = readFileSync(registry.logPath, "utf8").length;
    await work();
    const log = readFileSync(registry.logPath, "utf8").slice(before);
    return [...log.matchAll(/"((?:GET|PUT|POST|PATCH|HEAD) [^ ]+) HTTP/g)].map((match) => match[1]!);
  }
  async function build(dockerfile: string, args: readonly string[]): Promise<void> {
    const context = bench.context({ Dockerfile: dockerfile, file: "own\n" });
    const { code, stderr } = await bench.run(["build", "--progress=plain", ...args, context]);
    assert.equal(code, 0, stderr);
  }
  async function pullLayout(reference: string): Promise<string> {
    const directory = join(bench.directory, `pulled-${reference.replaceAll(/[^\w]/g, "-")}`);
    rmSync(directory, { recursive: true, force: true });
    const args = [
      "copy",
      "--all",
      "--preserve-digests",
      "--src-tls-verify=false",
      `docker://${registry.host}/${reference}`,
      `oci:${directory}:latest`,
    ];
    const { code, stderr } = await runCommand("skopeo", args);
    assert.equal(code, 0, stderr);
    return directory;
  }
  const layerOfBase = () => makeTinyImage(BASE_BYTES).layer.descriptor.digest;

  it("mounts the layers of a base from the same registry, and does not fetch them", async () => {
    const name = `${registry.host}/mounted:1`;
    const requests = await requestsOf(() =>
      build(`FROM ${registry.host}/base:1\nCOPY --link file /file\n`, ["-t", name, "--push"]),
    );
    const blob = layerOfBase();
    assert.ok(!requests.includes(`GET /v2/base/blobs/${blob}`), requests.join("\n"));
    assert.ok(
      requests.some(
        (line) => line.startsWith("POST /v2/mounted/blobs/uploads/?") && line.includes("from=base"),
      ),
      requests.join("\n"),
    );
    const [image] = await validateImageLayout(await pullLayout("mounted:1"), { mayMissParents: true });
    const layers = image!.manifest.layers as { digest: string }[];
    // The base's blob is the same bytes, in the same form.
    assert.equal(layers[0]!.digest, blob);
    assert.equal(layers.length, 2);
  });

  for (const status of [202, 403]) {
    it(`fetches and uploads what a registry does not mount (${status})`, async () => {
      await using proxy = await startFaultProxy(registry.host, ({ path }) => {
        if (path.includes("mount="))
          return { kind: "answer", status, headers: { location: "/v2/refused/blobs/uploads/none" } };
        return path.endsWith("/none") ? { kind: "answer", status: 204 } : undefined;
      });
      const name = `${proxy.host}/refused-${status}:1`;
      const root = join(bench.directory, `store-${status}`);
      const context = bench.context({ Dockerfile: `FROM ${proxy.host}/base:1\nENV A=b\n` });
      const { code, stderr } = await bench.run(["--root", root, "build", "-t", name, "--push", context]);
      assert.equal(code, 0, stderr);
      const seen = proxy.requests.map(({ method, path }) => `${method} ${path}`);
      assert.ok(
        seen.some((line) => line.includes("mount=")),
        seen.join("\n"),
      );
      assert.ok(seen.includes(`GET /v2/base/blobs/${layerOfBase()}`), seen.join("\n"));
      await pullLayout(`refused-${status}:1`);
    });
  }

  it("mounts its own layers in another repository of the registry", async () => {
    const dockerfile = "FROM scratch\nCOPY file /f\n";
    await build(dockerfile, ["-t", `${registry.host}/first:1`, "--push"]);
    const requests = await requestsOf(() => build(dockerfile, ["-t", `${registry.host}/second:1`, "--push"]));
    assert.equal(requests.filter((line) => /^POST .*from=first/.test(line)).length, 2, requests.join("\n"));
    assert.ok(!requests.some((line) => /^PUT .*blobs\/uploads/.test(line)), requests.join("\n"));
  });

  it("completes an image before it goes elsewhere: to a file, or to a registry that lacks the base", async () => {
    const dockerfile = `FROM ${registry.host}/base:1\nENV A=b\n`;
    const dest = join(bench.directory, "partial.tar");
    const requests = await requestsOf(() => build(dockerfile, ["-o", `type=oci,dest=${dest}`]));
    assert.ok(requests.includes(`GET /v2/base/blobs/${layerOfBase()}`), requests.join("\n"));
    await validateImageLayout(dest, { mayMissParents: true });

    await using other = await startRegistry();
    await build(dockerfile, ["-t", `${other.host}/copy:1`, "--push"]);
    const args = ["inspect", "--tls-verify=false", `docker://${other.host}/copy:1`];
    const { code, stdout, stderr } = await runCommand("skopeo", args);
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout).Layers, [layerOfBase()]);
  });

  it("keeps what a partial image needs to be saved later", async () => {
    const root = join(bench.directory, "later-store");
    const context = bench.context({ Dockerfile: `FROM ${registry.host}/base:1\nENV A=b\n` });
    const run = async (args: readonly string[]) => {
      const result = await bench.run(["--root", root, ...args]);
      assert.equal(result.code, 0, result.stderr);
      return result;
    };
    const requests = await requestsOf(async () => {
      await run(["build", "-t", "later", context]);
    });
    assert.ok(!requests.includes(`GET /v2/base/blobs/${layerOfBase()}`), requests.join("\n"));
    const dest = join(bench.directory, "later.tar");
    await run(["save", "-o", dest, "later"]);
    await validateImageLayout(dest, { mayMissParents: true });

    // An image that was pulled in part and has another name now.
    const second = join(bench.directory, "second-store");
    const runSecond = (args: readonly string[]) => bench.run(["--root", second, ...args]);
    assert.equal((await runSecond(["build", "-t", "x", context])).code, 0);
    assert.equal((await runSecond(["tag", `${registry.host}/base:1`, "renamed:1"])).code, 0);
    const saved = await runSecond(["save", "-o", dest, "renamed:1"]);
    assert.equal(saved.code, 0, saved.stderr);
    await validateImageLayout(dest, { mayMissParents: true });
  });

  it("pushes an index by digest only, and several names", async () => {
    const metadata = join(bench.directory, "metadata");
    await build("FROM scratch\nCOPY file /d\n", [
      ...["--platform=linux/amd64,linux/arm64", "--metadata-file", metadata],
      ...["-o", `type=image,name=${registry.host}/digest,push=true,push-by-digest=true`],
    ]);
    const digest = JSON.parse(readFileSync(metadata, "utf8"))["containerimage.digest"];
    const [first, second] = await validateImageLayout(await pullLayout(`digest@${digest}`));
    assert.deepEqual([first!.platform, second!.platform], ["linux/amd64", "linux/arm64"]);
    const tags = await fetch(`http://${registry.host}/v2/digest/tags/list`);
    assert.deepEqual(((await tags.json()) as { tags?: string[] }).tags ?? [], []);

    const names = `${registry.host}/one:a,${registry.host}/two:b`;
    await build("FROM scratch\nCOPY file /d\n", ["-o", `type=registry,"name=${names}"`]);
    await pullLayout("one:a");
    await pullLayout("two:b");
  });

  describe("with a layer that takes a while to compress", () => {
    let context: string;
    before(() => {
      context = bench.context({ Dockerfile: "FROM scratch\nCOPY large /large\n" });
      writeFileSync(join(context, "large"), randomBytes(48 << 20));
    });
    /** Builds in a store of its own and pushes through a proxy; returns what the proxy saw of uploads, and what was said. */
    async function push(tag: string, decide: Parameters<typeof startFaultProxy>[1] = () => undefined) {
      await using proxy = await startFaultProxy(registry.host, decide);
      const root = join(bench.directory, `store-${tag.replace(":", "-")}`);
      const args = [
        "--root",
        root,
        "build",
        "--progress=plain",
        "-t",
        `${proxy.host}/${tag}`,
        "--push",
        context,
      ];
      const { code, stderr } = await bench.run(args);
      assert.equal(code, 0, stderr);
      const uploads = proxy.requests.filter(({ path }) => path.includes("/uploads"));
      return {
        uploads: uploads.map(({ method, headers }) =>
          `${method} ${headers["transfer-encoding"] ?? ""}`.trim(),
        ),
        stderr,
      };
    }
    const config = ["POST", "PUT"];

    it("uploads it meanwhile", async () => {
      const { uploads, stderr } = await push("streamed:1");
      assert.deepEqual(uploads.toSorted(), ["PATCH chunked", "POST", "PUT", ...config].toSorted());
      assert.match(stderr, /push .*sha256:[0-9a-f]+\n#\d+ sha256:[0-9a-f]+ 50\.\dMB \/ 50\.\dMB\n#\d+ DONE/);
      await validateImageLayout(await pullLayout("streamed:1"));
    });

    it("pushes it as usual where that is refused", async () => {
      const { uploads } = await push("refused-stream:1", ({ method }) =>
        method === "PATCH" ? { kind: "answer", status: 411 } : undefined,
      );
      const expected = ["POST", "PATCH chunked", "DELETE", "POST", "PUT", ...config];
      assert.deepEqual(uploads.toSorted(), expected.toSorted());
      await validateImageLayout(await pullLayout("refused-stream:1"));
    });

    it("gives the upload up when the registry turns out to have it", async () => {
      await push("has-it:1");
      const { uploads, stderr } = await push("has-it:2");
      // The config differs in its time.
      assert.deepEqual(uploads.toSorted(), ["POST", "PATCH chunked", "DELETE", ...config].toSorted());
      assert.match(stderr, /push .*sha256:[0-9a-f]+\n#\d+ CACHED/);
      await validateImageLayout(await pullLayout("has-it:2"));
    });
  });
});
