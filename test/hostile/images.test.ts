import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { digestBytes } from "../../src/oci/digest-bytes.ts";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { writeLayeredLayout } from "../layered-image.ts";
import { type MemberLike, makeTar } from "../make-layers.ts";
import { type FileServer, serveFiles } from "../serve-files.ts";
import type { CommandResult } from "../slipway.ts";
import { makeTinyImage, writeTinyLayout } from "../tiny-image.ts";

describe("an image that is made to harm whoever pulls, loads or builds on it", () => {
  let bench: BuildBench;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());

  let count = 0;
  const newPath = (name: string) => join(bench.directory, `${name}-${count++}`);
  const image = makeTinyImage();
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value));
  const manifest = JSON.parse(Buffer.from(image.manifest).toString()) as Record<string, unknown>;

  function refused({ code, stderr }: CommandResult, message: RegExp): void {
    assert.equal(code, 1, stderr);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /\n {4}at /, "a stack: a bug, not an error");
  }

  /** Builds `FROM base`, where base is the tiny image with another manifest. */
  async function buildWith(document: Uint8Array): Promise<CommandResult> {
    const layout = newPath("layout");
    await writeTinyLayout(image, layout);
    const digest = digestBytes(document);
    writeFileSync(join(layout, "blobs/sha256", digest.slice(7)), document);
    const entry = { ...image.descriptor, digest, size: document.length };
    writeFileSync(join(layout, "index.json"), encode({ schemaVersion: 2, manifests: [entry] }));
    return buildOn(layout);
  }

  /** `RUN true`-like, so that all layers are looked at, on an image with these upper layers. */
  async function buildOn(layout: string, more = ""): Promise<CommandResult> {
    const context = bench.context({ Dockerfile: `FROM base\n${more}COPY Dockerfile /\n` });
    return bench.run(["build", "--build-context", `base=oci-layout://${layout}`, "-t", "made", context]);
  }

  async function withLayer(members: readonly MemberLike[], more = ""): Promise<CommandResult> {
    const layout = newPath("layout");
    const busybox = { name: "bin/busybox", mode: 0o755, content: readFileSync("/bin/busybox") };
    await writeLayeredLayout(layout, [[{ name: "bin/" }, busybox], members]);
    return buildOn(layout, more);
  }

  it("CVE-2021-41190: a manifest that is an index, too", async () => {
    const both = encode({ ...manifest, manifests: [image.descriptor] });
    refused(await buildWith(both), /its manifest is an index and an image at the same time/);
    const index = encode({ ...manifest, mediaType: "application/vnd.oci.image.index.v1+json" });
    refused(await buildWith(index), /its manifest is an index and an image at the same time/);
  });

  it("CVE-2024-3727: a digest that is a path", async () => {
    for (const digest of [
      "sha256:../../../../../../../../dev/zero",
      "../../../../etc/passwd",
      "sha256:",
      7,
      null,
    ]) {
      const config = { ...image.config.descriptor, digest };
      refused(await buildWith(encode({ ...manifest, config })), /is no digest|names a part by is no digest/);
      const layers = [{ ...image.layer.descriptor, digest }];
      refused(await buildWith(encode({ ...manifest, layers })), /is no digest/);
    }
  });

  it("CVE-2024-3727: such a digest from a registry asks it for nothing else", async () => {
    const config = { ...image.config.descriptor, digest: "sha256:../../../../v2/_catalog" };
    const document = encode({ ...manifest, config });
    await using server: FileServer = await serveFiles((request, response) => {
      if (!request.path.includes("/manifests/")) response.writeHead(200).end();
      else response.writeHead(200, { "content-type": image.descriptor.mediaType }).end(document);
    });
    const host = server.url.replace("http://", "");
    refused(await bench.run(["pull", `${host}/a:1`]), /is no digest/);
    assert.deepEqual([...new Set(server.requests.map(({ path }) => path))], ["/v2/", "/v2/a/manifests/1"]);
  });

  it("CVE-2021-21285: documents with fields that are missing or of another type", async () => {
    for (const document of [
      null,
      { ...manifest, layers: [null] },
      { ...manifest, config: image.layer.descriptor },
    ]) {
      refused(await buildWith(encode(document)), /^Error: Cannot use /m);
    }
  });

  it("CVE-2014-9358: ids and names in an archive that are paths", async () => {
    const up = "../../../../../../../../../../etc/passwd";
    const entry = { Config: up, RepoTags: ["a:1"], Layers: [up] };
    const load = (files: Record<string, unknown>) => {
      const members = Object.entries(files).map(([name, value]) => ({ name, content: encode(value) }));
      return bench.run(["load"], { input: makeTar(members) });
    };
    refused(await load({ "manifest.json": [entry] }), /cannot be read: ENOENT/);
    const descriptor = { ...image.descriptor, digest: `sha256:${up}` };
    refused(await load({ "index.json": { manifests: [descriptor] } }), /is no digest/);
    const config = { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } };
    const names = { Config: "c.json", RepoTags: [up], Layers: [] };
    refused(await load({ "manifest.json": [names], "c.json": config }), /as an image reference/);
    refused(await load({ "manifest.json": [null] }), /has an image without config or layers/);
  });

  it("CVE-2020-15157: a layer elsewhere gets no credentials of the registry", async () => {
    const authorizations: (string | undefined)[] = [];
    await using elsewhere = await serveFiles((request, response) => {
      authorizations.push(request.headers.authorization);
      response.writeHead(401, { "www-authenticate": 'Basic realm="give me"' }).end();
    });
    const urls = [`${elsewhere.url}/layer`, `${elsewhere.url.replace("http:", "https:")}/layer`];
    const layers = [{ ...image.layer.descriptor, urls }];
    const document = encode({ ...manifest, layers });
    await using registry = await serveFiles((request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { "www-authenticate": 'Basic realm="mine"' }).end();
      } else if (request.path.includes("/manifests/")) {
        response.writeHead(200, { "content-type": image.descriptor.mediaType }).end(document);
      } else if (request.path.endsWith(image.config.descriptor.digest)) response.end(image.config.bytes);
      else response.writeHead(request.path === "/v2/" ? 200 : 404).end();
    });
    const host = registry.url.replace("http://", "");
    const config = newPath("config");
    mkdirSync(config);
    const auth = Buffer.from("me:hunter2").toString("base64");
    writeFileSync(join(config, "config.json"), encode({ auths: { [host]: { auth } } }));
    const env = { DOCKER_CONFIG: config };
    refused(await bench.run(["pull", `${host}/a:1`], { env }), /^Error: /m);
    assert.ok(authorizations.every((authorization) => authorization === undefined));
  });

  it("CVE-2024-9676: an /etc/passwd that is a symlink to the host's is looked up in the image", async () => {
    const members = [
      { name: "etc/" },
      { name: "etc/passwd", type: "symlink", linkName: "../../../../../../../../../etc/passwd", mode: 0o777 },
      { name: "etc/group", type: "symlink", linkName: "/proc/self/environ", mode: 0o777 },
    ] as const;
    refused(
      await withLayer(members, "COPY --chown=daemon Dockerfile /x\n"),
      /symlinks lead round in a circle/,
    );
    const outside = [
      { name: "etc/passwd", type: "symlink", linkName: "/proc/1/environ", mode: 0o777 },
    ] as const;
    refused(
      await withLayer(outside, "COPY --chown=daemon Dockerfile /x\n"),
      /the image has no user "daemon"/,
    );
  });

  it("GHSA-72x6-4j93-7w86: an /etc/passwd of gigabytes is not read into memory", {
    skip: runMissing,
  }, async () => {
    const content = Buffer.alloc(17 << 20, "a:x:1:1::/:/x\n");
    const members = [
      { name: "etc/passwd", content },
      { name: "etc/group", content },
    ];
    const more = ['USER a\nRUN ["/bin/busybox", "true"]\n', "COPY --chown=a Dockerfile /x\n"];
    for (const one of more) refused(await withLayer(members, one), /etc\/passwd": it is larger than/);
  });
});
