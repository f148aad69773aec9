import assert from "node:assert/strict";
import { test } from "node:test";
import { BuildError } from "../errors/build-error.ts";
import { MEDIA_TYPE } from "./media-type.ts";
import { parseImageConfig, parseIndex, parseManifest } from "./parse-documents.ts";

const encode = (value: unknown) => Buffer.from(JSON.stringify(value));
const descriptor = { mediaType: MEDIA_TYPE.ociLayer, digest: `sha256:${"0".repeat(64)}`, size: 1 };
const manifest = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPE.ociManifest,
  config: descriptor,
  layers: [descriptor],
};
const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: [descriptor] };
const config = {
  architecture: "arm64",
  os: "linux",
  rootfs: { type: "layers", diff_ids: [descriptor.digest] },
};

const refuses = (parse: (bytes: Uint8Array, action: string) => unknown, value: unknown, message: RegExp) =>
  assert.throws(
    () => parse(encode(value), "Cannot use it"),
    (error) => {
      assert.ok(error instanceof BuildError && error.code === "image-invalid", JSON.stringify(value));
      assert.match(error.message, message, JSON.stringify(value));
      return true;
    },
  );

test("the documents of an image are read as they are", () => {
  assert.deepEqual(parseManifest(encode(manifest), ""), manifest);
  assert.deepEqual(parseIndex(encode(index), ""), index);
  assert.deepEqual(parseImageConfig(encode(config), ""), config);
});

test("null stands for a field that is not there, as docker writes it", () => {
  const container = { Env: null, Cmd: null, Entrypoint: null, Labels: null, Volumes: null, OnBuild: null };
  assert.deepEqual(
    parseImageConfig(encode({ ...config, history: null, config: container }), "").config,
    container,
  );
});

test("a config that does not say its platform is for linux/amd64", () => {
  const { os, architecture } = parseImageConfig(encode({ rootfs: config.rootfs }), "");
  assert.deepEqual([os, architecture], ["linux", "amd64"]);
});

test("what is a manifest and an index at once is refused as either", () => {
  const both = { schemaVersion: 2, config: descriptor, layers: [], manifests: [] };
  refuses(parseManifest, both, /an index and an image at the same time/);
  refuses(parseIndex, both, /an index and an image at the same time/);
  refuses(parseManifest, { ...manifest, mediaType: MEDIA_TYPE.ociIndex }, /at the same time/);
  refuses(parseIndex, { ...index, mediaType: MEDIA_TYPE.dockerManifest }, /at the same time/);
});

test("what names a part must be a digest", () => {
  const hex = "0".repeat(64);
  for (const digest of [
    "sha256:../../etc/passwd",
    hex,
    `sha256:${hex}/`,
    `sha256:${"A".repeat(64)}`,
    "",
    7,
    null,
    [],
  ]) {
    refuses(parseManifest, { ...manifest, config: { ...descriptor, digest } }, /is no digest/);
    refuses(parseManifest, { ...manifest, layers: [descriptor, { ...descriptor, digest }] }, /is no digest/);
    refuses(parseIndex, { ...index, manifests: [{ ...descriptor, digest }] }, /is no digest/);
    refuses(parseImageConfig, { ...config, rootfs: { diff_ids: [digest] } }, /lists no layers/);
  }
});

test("fields of another type are refused", () => {
  for (const value of [null, 7, "x", [], true]) refuses(parseManifest, value, /not a JSON object/);
  for (const layers of [null, 7, "x", {}, [null], [7], [[]], [{}]])
    refuses(parseManifest, { ...manifest, layers }, /./);
  for (const manifests of [null, 7, "x", {}, [null], [[]]]) refuses(parseIndex, { ...index, manifests }, /./);
  const wrong = { mediaType: 7, size: -1, urls: "x", annotations: { a: 7 }, platform: { os: "linux" } };
  for (const [key, value] of Object.entries(wrong)) {
    refuses(parseIndex, { ...index, manifests: [{ ...descriptor, [key]: value }] }, /wrong or not complete/);
  }
  const fields = { os: 7, architecture: {}, "os.features": [7], config: [], history: {}, created: 0 };
  for (const [key, value] of Object.entries(fields))
    refuses(parseImageConfig, { ...config, [key]: value }, /wrong type/);
  const container = { Env: [7], Cmd: "x", User: 0, Labels: { a: 1 }, Healthcheck: [], ExposedPorts: ["80"] };
  for (const [key, value] of Object.entries(container)) {
    refuses(
      parseImageConfig,
      { ...config, config: { [key]: value } },
      /"config\.[A-Z]\w+" of its config has the wrong type/,
    );
  }
  refuses(parseImageConfig, { ...config, history: [null] }, /"history" of its config/);
  refuses(parseImageConfig, { ...config, history: [{ created_by: 7 }] }, /"history.created_by"/);
  for (const rootfs of [null, 7, {}, { diff_ids: {} }])
    refuses(parseImageConfig, { ...config, rootfs }, /lists no layers/);
});
