import { gzipSync, zstdCompressSync } from "node:zlib";
import { makeTar } from "../make-layers.ts";
import { paxRecord, rawMember } from "../raw-tar.ts";
import type { FUZZ_TARGETS } from "./targets.ts";

const DIGEST = `sha256:${"0".repeat(64)}`;
const descriptor = {
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  digest: DIGEST,
  size: 7,
  urls: ["https://example.com/layer"],
  annotations: { a: "b" },
  platform: { os: "linux", architecture: "arm", variant: "v7", "os.features": ["a"] },
};
const skippable = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
const json = (value: unknown) => JSON.stringify(value);

/** Right inputs that a search begins with. */
export const FUZZ_SEEDS: Readonly<Record<keyof typeof FUZZ_TARGETS, readonly (string | Uint8Array)[]>> = {
  tar: [
    makeTar([
      { name: "d/" },
      { name: "d/f", content: "hello", xattrs: { "user.a": Buffer.from("b") } },
      { name: "d/l", type: "symlink", linkName: "f" },
      { name: "h", type: "hardlink", linkName: "d/f" },
      { name: "n".repeat(120), content: "x" },
    ]),
    Buffer.concat([
      rawMember({
        type: "x",
        content: `${paxRecord("GNU.sparse.major", "1")}${paxRecord("GNU.sparse.minor", "0")}`,
      }),
      rawMember({ type: "L", content: "long\0" }),
      rawMember({ type: "S", content: "sparse" }),
    ]),
  ],
  pax: [
    paxRecord("path", "a/b") + paxRecord("SCHILY.xattr.user.a", "v") + paxRecord("GNU.sparse.offset", "1"),
  ],
  compression: [
    gzipSync("hello"),
    Buffer.concat([gzipSync("a"), gzipSync("b")]),
    zstdCompressSync("hello"),
    Buffer.concat([skippable, zstdCompressSync("a"), skippable, zstdCompressSync("b".repeat(1000))]),
    // What bzip2 and xz make of `hello`.
    Buffer.from("QlpoOTFBWSZTWRkxZT0AAACBAAJEoAAhmmgzTQczi7kinChIDJiynoA=", "base64"),
    Buffer.from(
      "/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQAEaGVsbG8AAAAAsTe52+XaHpsAAR0FuC2Arx+2830BAAAAAARZWg==",
      "base64",
    ),
  ],
  layerIndex: ["0a/b\n5d\n5d/e\n1h=a/b\n2l=d\n0l/x\n0d/.wh.e\n0d/.wh..wh..opq\n0.wh.a"],
  dockerfile: [
    '# syntax=docker/dockerfile:1\nARG A=1\nFROM a:$A AS b\nRUN <<E cat\nx\nE\nCOPY --from=b --chown=1:2 ["a", "b"]\nFROM b\nENV C=${A:-d}\nRUN --mount=type=cache,target=/c x \\\n  y\n',
  ],
  expansion: ["a$A${B:-c}${EMPTY:+x}${A#v*}${B//a/x}\"$A\"'\\$'\\${A}${NONE:?m}"],
  ignore: ["*.log\n!keep.log\nnode_modules\n!node_modules/keep/**\n# c\n**/a?[b-d]/x\n../y\n"],
  reference: [
    `localhost:5000/a/b:tag@${DIGEST}`,
    "https://example.com/a.git#main:sub",
    "git@example.com:a/b?tag=v1&subdir=x",
    "windows(10.0+a)/amd64/v2",
  ],
  document: [
    json({ schemaVersion: 2, config: descriptor, layers: [descriptor] }),
    json({ schemaVersion: 2, manifests: [descriptor] }),
    json({
      os: "linux",
      architecture: "amd64",
      config: { Env: ["A=b"], Cmd: null, Labels: { a: "b" }, Healthcheck: { Test: ["NONE"], Interval: 1 } },
      rootfs: { type: "layers", diff_ids: [DIGEST] },
      history: [{ created_by: "x", empty_layer: true }],
    }),
  ],
};
