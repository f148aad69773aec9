import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { digestBytes } from "../../src/oci/digest-bytes.ts";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { type FileServer, serveFiles } from "../serve-files.ts";
import { runCommand } from "../slipway.ts";
import { type RunningRegistry, registryMissing, startRegistry } from "../start-registry.ts";

const OCI = "application/vnd.oci.image.manifest.v1+json";
const DOCKER = "application/vnd.docker.distribution.manifest.v2+json";

describe("provenance of an image", { skip: registryMissing || runMissing }, () => {
  let bench: BuildBench;
  let registry: RunningRegistry;
  let files: FileServer;
  let context: string;
  before(async () => {
    bench = await openBuildBench();
    registry = await startRegistry();
    files = await serveFiles((_, response) => response.end("downloaded"));
    const base = `${registry.host}/base:1`;
    assert.equal((await bench.run(["tag", "busybox", base])).code, 0);
    assert.equal((await bench.run(["push", base])).code, 0);
    assert.equal((await bench.run(["rmi", base])).code, 0);
    const secretUrl = files.url.replace("//", "//me:hidden@");
    context = bench.context({
      Dockerfile: `FROM ${base} AS app\nARG A\nADD ${secretUrl}/file /file\nRUN --network=none --mount=type=secret,id=token cat /run/secrets/token >/dev/null\n`,
      token: "s3cr3t-value",
    });
  });
  after(async () => {
    await files[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    bench[Symbol.dispose]();
  });

  const get = async (path: string, accept = "*/*") => {
    const response = await fetch(`http://${registry.host}/v2/${path}`, { headers: { accept } });
    assert.equal(response.status, 200, path);
    return Buffer.from(await response.arrayBuffer());
  };
  async function push(name: string, ...args: readonly string[]) {
    const { code, stderr } = await bench.run([
      ...["build", "--progress=plain", "-t", `${registry.host}/${name}:1`, "--push"],
      ...["--secret", `id=token,src=${join(context, "token")}`, "--build-arg", "A=chosen", ...args, context],
    ]);
    assert.equal(code, 0, stderr);
    const index = JSON.parse(
      String(await get(`${name}/manifests/1`, "application/vnd.oci.image.index.v1+json")),
    );
    const [image, attestation] = index.manifests;
    const manifest = JSON.parse(
      String(await get(`${name}/manifests/${attestation.digest}`, attestation.mediaType)),
    );
    const text = await get(`${name}/blobs/${manifest.layers[0].digest}`);
    assert.equal(digestBytes(text), manifest.layers[0].digest);
    return { index, image, attestation, manifest, text: String(text), statement: JSON.parse(String(text)) };
  }

  it("stands beside the image in an index, at a registry, and other tools still take the image", async () => {
    const { index, image, attestation, manifest, statement, text } = await push("app", "--provenance=true");
    assert.equal(index.manifests.length, 2);
    assert.deepEqual(image.platform, { os: "linux", architecture: "amd64" });
    assert.deepEqual(attestation.platform, { os: "unknown", architecture: "unknown" });
    assert.deepEqual(attestation.annotations, {
      "vnd.docker.reference.digest": image.digest,
      "vnd.docker.reference.type": "attestation-manifest",
    });
    assert.equal(manifest.layers[0].mediaType, "application/vnd.in-toto+json");
    assert.equal(
      manifest.layers[0].annotations["in-toto.io/predicate-type"],
      "https://slsa.dev/provenance/v0.2",
    );
    assert.deepEqual(statement.subject, [
      {
        name: `pkg:docker/${registry.host}/app@1?platform=linux%2Famd64`,
        digest: { sha256: image.digest.slice("sha256:".length) },
      },
    ]);
    const base = digestBytes(await get("base/manifests/1", `${OCI}, ${DOCKER}`));
    const { materials, metadata, invocation, buildConfig } = statement.predicate;
    assert.deepEqual(materials, [
      {
        uri: `pkg:docker/${registry.host}/base@1?platform=linux%2Famd64`,
        digest: { sha256: base.slice("sha256:".length) },
      },
      {
        uri: `${files.url}/file`,
        digest: { sha256: digestBytes(Buffer.from("downloaded")).slice("sha256:".length) },
      },
    ]);
    assert.deepEqual(invocation.configSource, { entryPoint: "Dockerfile" });
    assert.deepEqual(invocation.parameters.args, {});
    assert.equal(metadata.completeness.parameters, false);
    assert.equal(buildConfig, undefined);
    assert.ok(metadata.buildStartedOn <= metadata.buildFinishedOn);
    assert.ok(!text.includes("chosen") && !text.includes("hidden") && !text.includes("s3cr3t"), text);

    const name = `docker://${registry.host}/app:1`;
    const seen = await runCommand("skopeo", ["inspect", "--tls-verify=false", name]);
    assert.equal(seen.code, 0, seen.stderr);
    assert.equal(JSON.parse(seen.stdout).Layers.length, 3);
    const pulled = await bench.run(["--root", join(bench.directory, "other"), "pull", name.slice(9)]);
    assert.equal(pulled.code, 0, pulled.stderr);
    // Docker's archives hold the only image of an index, without what is said about it.
    const archive = join(bench.directory, "copied.tar");
    const copied = await bench.run(["copy", "-q", name.slice(9), `docker-archive:${archive}:app:1`]);
    assert.equal(copied.code, 0, copied.stderr);
    const inArchive = await runCommand("skopeo", ["inspect", `docker-archive:${archive}:app:1`]);
    assert.equal(JSON.parse(inArchive.stdout).Layers.length, 3);
  });

  it("tells in full only what is asked for, and no secret", async () => {
    const metadata = join(bench.directory, "metadata.json");
    const { statement, text } = await push("max", "--provenance=mode=max", "--metadata-file", metadata);
    const { invocation, buildConfig, metadata: facts } = statement.predicate;
    assert.deepEqual(invocation.parameters.args, { "build-arg:A": "chosen" });
    assert.deepEqual(invocation.parameters.secrets, [{ id: "token", optional: true }]);
    assert.ok(buildConfig.steps.some(({ name }: { name: string }) => /RUN --network=none/.test(name)));
    const [info] = facts["https://mobyproject.org/buildkit@v1#metadata"].source.infos;
    assert.equal(
      Buffer.from(info.data, "base64").toString(),
      readFileSync(join(context, "Dockerfile"), "utf8"),
    );
    assert.ok(!text.includes("s3cr3t"), text);
    const told = JSON.parse(readFileSync(metadata, "utf8"));
    assert.deepEqual(told["buildx.build.provenance"], statement.predicate);
  });

  it("of SLSA 1, with what the user says of it", async () => {
    const { statement } = await push(
      "one",
      "--attest=type=provenance,version=v1,builder-id=https://ci.example/7,reproducible=true",
    );
    assert.equal(statement.predicateType, "https://slsa.dev/provenance/v1");
    const { buildDefinition, runDetails } = statement.predicate;
    assert.equal(buildDefinition.resolvedDependencies.length, 2);
    assert.deepEqual(buildDefinition.externalParameters.configSource, { path: "Dockerfile" });
    assert.deepEqual(runDetails.builder, { id: "https://ci.example/7" });
    assert.equal(runDetails.metadata.buildkit_reproducible, true);
    assert.ok(runDetails.metadata.invocationId.length > 8);
  });

  it("is left out, with a note, where it has no place", async () => {
    const { code, stderr } = await bench.build("FROM scratch\nCOPY a /\n", {
      files: { a: "a" },
      args: ["--provenance=true", "-o", `type=docker,dest=${join(bench.directory, "image.tar")}`],
    });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /type docker has no place for attestations: they are left out/);
  });
});
