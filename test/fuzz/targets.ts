import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { expandWord } from "../../src/dockerfile/expand-word.ts";
import { makeIgnoreMatcher, parseIgnoreFile } from "../../src/dockerfile/make-ignore-matcher.ts";
import { parseGitReference } from "../../src/dockerfile/parse-git-reference.ts";
import { BuildError } from "../../src/errors/build-error.ts";
import { DEFAULT_LIMITS, type InputLimits } from "../../src/errors/input-limits.ts";
import { choosePlatform } from "../../src/oci/choose-platform.ts";
import { parseImageConfig, parseIndex, parseManifest } from "../../src/oci/parse-documents.ts";
import { normalizePlatform, parsePlatform } from "../../src/oci/platform.ts";
import { formatImageReference, parseImageReference } from "../../src/oci/reference.ts";
import { IndexReader } from "../../src/rootfs/index-reader.ts";
import { detectArchiveCompression, inflateArchive } from "../../src/rootfs/inflate-archive.ts";
import { collectEntries } from "../../src/rootfs/ingest-layer.ts";
import { LayerWriter } from "../../src/rootfs/layer-writer.ts";
import { formatPaxRecords, parsePaxRecords } from "../../src/rootfs/pax-records.ts";
import { comparePaths, isWithin, ROOT } from "../../src/rootfs/rootfs-path.ts";
import { TAR_BLOCK, tarChecksum } from "../../src/rootfs/tar-header.ts";
import type { TarMember } from "../../src/rootfs/tar-member.ts";
import { TarReader } from "../../src/rootfs/tar-reader.ts";
import { splitZstdFrames } from "../../src/rootfs/zstd-frames.ts";
import { exerciseDockerfile } from "../exercise-dockerfile.ts";
import { rawMember } from "../raw-tar.ts";
import { FUZZ_SEEDS } from "./seeds.ts";

/*
 * What must hold of any input: it is taken, or refused with an error of ours; and what else each target says. A target throws for what
 * must not be. `npm run fuzz` looks for such inputs with coverage; what it has found lies in corpus/, and is tried with every test run.
 */

export type FuzzTarget = (input: Buffer) => void | Promise<void>;

/** Small, so that going beyond them costs no time. */
const LIMITS: InputLimits = {
  ...DEFAULT_LIMITS,
  "header-size": 4096,
  "name-size": 256,
  "layer-entries": 500,
};

/** The value, or undefined for an error of ours. Every other error goes on. */
function expected<Value>(run: () => Value): Value | undefined {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    // What it quotes of the input may have these words.
    assert.doesNotMatch(error.message.replace(/".*"/s, ""), /undefined|\[object|NaN/);
    return undefined;
  }
}

/** What a tar has, read in pieces of one size. */
function readTar(input: Buffer, step: number): unknown {
  const seen: [TarMember, number, number][] = [];
  let size = 0;
  const handler = {
    member(member: TarMember, { dataOffset }: { readonly dataOffset: number }) {
      seen.push([member, dataOffset, 0]);
      size = 0;
    },
    content(chunk: Uint8Array) {
      size += chunk.length;
      // A hole of petabytes is right, and would be filled here.
      if (size > 1 << 16) throw new BuildError("input-limit", "Cannot read the archive: enough");
    },
    memberEnd() {
      seen.at(-1)![2] = size;
      assert.equal(size, seen.at(-1)![0].size);
    },
  };
  return expected(() => {
    const reader = new TarReader(handler, { limits: LIMITS });
    for (let at = 0; at < input.length; at += step) reader.write(input.subarray(at, at + step));
    reader.end();
    return seen;
  });
}

/** Each layer's index is sorted and whole: every entry's parent is there, and is a directory or a link. */
function writeAndReadIndex(input: Buffer): void {
  const directory = mkdtempSync(join(tmpdir(), "slipway-fuzz-"));
  try {
    using writer = new LayerWriter(directory, { limit: { name: "layer-entries", limits: LIMITS } });
    const reader = new TarReader(collectEntries(writer), { limits: LIMITS });
    expected(() => {
      // Any text is a tar of empty files, links and whiteouts, so that the index is reached.
      for (const line of input.toString("latin1").split("\n")) reader.write(tarLine(line));
      const { layer } = writer.finish();
      using index = new IndexReader(layer.indexPath);
      let last: string | undefined;
      for (const entry of index.scan(ROOT)) {
        assert.ok(last === undefined || comparePaths(last as typeof entry.path, entry.path) < 0);
        assert.deepEqual(index.lookup(entry.path), entry);
        for (const child of index.list(entry.path)) assert.ok(isWithin(child.path, entry.path));
        last = entry.path;
      }
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** `TYPE NAME=TARGET` as one member. */
function tarLine(line: string): Buffer {
  const [name = "", linkName = ""] = line.slice(1).split("=");
  const type = "012356".includes(line[0] ?? "") ? (line[0] ?? "0") : "0";
  return rawMember({ type, name: name.slice(0, 99) || "x", linkName: linkName.slice(0, 99) });
}

/** With the checksum that each header should have: nothing is found behind a number that is right by chance. */
function repairChecksums(input: Buffer): Buffer {
  const tar = Buffer.from(input);
  for (let at = 0; at + TAR_BLOCK <= tar.length; at += TAR_BLOCK) {
    const block = tar.subarray(at, at + TAR_BLOCK);
    if (block.toString("latin1", 257, 262) !== "ustar") continue;
    block.write(`${tarChecksum(block).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  }
  return tar;
}

/** The frames of zstd in an input that comes in pieces of a size. */
function splitFrames(input: Buffer, step: number): Buffer | undefined {
  const parts: Uint8Array[] = [];
  return expected(() => {
    const splitter = splitZstdFrames();
    for (let at = 0; at < input.length; at += step)
      for (const { bytes } of splitter.split(input.subarray(at, at + step))) parts.push(Buffer.from(bytes));
    splitter.end();
    return Buffer.concat(parts);
  });
}

/** Our framing gives what Node's one-call decompressor gives; it may take no more, and may refuse no less. */
async function inflate(input: Buffer): Promise<void> {
  const compression = detectArchiveCompression(input);
  if (compression === "uncompressed") return;
  if (compression === "zstd") assert.deepEqual(splitFrames(input, 1), splitFrames(input, input.length));
  const parts: Buffer[] = [];
  let size = 0;
  // For each piece Node changes threads, twice: with many, most of the time would go there.
  const cut = (input[4] ?? 0) % input.length;
  try {
    await inflateArchive([input.subarray(0, cut), input.subarray(cut)], (chunk) => {
      size += chunk.length;
      if (size > 1 << 16) throw new BuildError("input-limit", "Cannot decompress the data: enough");
      parts.push(Buffer.from(chunk));
    });
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    return;
  }
  // Node takes only the first frame of zstd in one call where others are skippable, and has no bzip2 and no xz.
  if (compression === "gzip") assert.deepEqual(Buffer.concat(parts), gunzipSync(input));
  else if (input[0] === 0x28) {
    const whole = zstdDecompressSync(input);
    assert.deepEqual(Buffer.concat(parts).subarray(0, whole.length), whole);
  }
}

function referAndFormat(input: Buffer): void {
  const text = input.toString("utf8");
  const reference = expected(() => parseImageReference(text));
  if (reference !== undefined) {
    assert.deepEqual(parseImageReference(formatImageReference(reference)), reference);
  }
  expected(() => parseGitReference(text));
  const platform = expected(() => parsePlatform(text));
  if (platform !== undefined) assert.deepEqual(normalizePlatform(platform), platform);
}

/** What stands in a document where something else should. */
const MISFITS = [null, [], {}, "", 0, -1, 1e300, true, "a=b", [null], { a: null }, "__proto__"];

/** A right document, in which the input's bytes choose values and what comes in their place: most changes of JSON's text only break it. */
function misfitDocument(input: Buffer): Buffer {
  const document = JSON.parse(String(FUZZ_SEEDS.document[(input[0] ?? 0) % FUZZ_SEEDS.document.length]));
  for (let at = 1; at + 1 < Math.min(input.length, 13); at += 2) {
    let [value, choice] = [document, input[at]!];
    for (;;) {
      const keys = Object.keys(value);
      const key = keys[choice % keys.length];
      if (key === undefined) break;
      choice = Math.floor(choice / keys.length);
      if (choice === 0 || typeof value[key] !== "object" || value[key] === null) {
        value[key] = structuredClone(MISFITS[input[at + 1]! % MISFITS.length]);
        break;
      }
      value = value[key];
    }
  }
  return Buffer.from(JSON.stringify(document));
}

function readDocuments(input: Buffer): void {
  const linux = { os: "linux", architecture: "amd64" };
  const index = expected(() => parseIndex(input, "Cannot use it"));
  if (index !== undefined) choosePlatform(index.manifests, linux);
  const manifest = expected(() => parseManifest(input, "Cannot use it"));
  assert.ok(index === undefined || manifest === undefined, "it is an index and a manifest");
  for (const { urls = [], digest } of manifest?.layers ?? []) {
    assert.ok(urls.length >= 0 && /^sha256:[0-9a-f]{64}$/.test(digest));
  }
  const config = expected(() => parseImageConfig(input, "Cannot use it"));
  if (config === undefined) return;
  normalizePlatform(config);
  for (const text of [...(config.config?.Env ?? []), ...(config.config?.OnBuild ?? [])]) text.split("=");
  for (const { created_by: text = "" } of config.history ?? []) text?.trim();
}

function ignore(input: Buffer): void {
  const patterns = expected(() => parseIgnoreFile(input));
  const matcher = patterns && expected(() => makeIgnoreMatcher(patterns));
  if (matcher === undefined) return;
  for (const directory of ["a", "a/b", "node_modules", "src", "é"]) {
    if (!matcher.canSkipDirectory(directory)) continue;
    for (const name of ["a", "b", "b/c", "keep", ".x"]) {
      const path = `${directory}/${name}`;
      assert.ok(matcher.excludes(path), `${directory} is passed by, and ${path} is wanted`);
      assert.ok(matcher.findPattern(path) !== undefined);
    }
  }
}

const ENVIRONMENT = new Map([
  ["A", "value"],
  ["B", "a/b/a b'\"\\"],
  ["EMPTY", ""],
]);

export const FUZZ_TARGETS = {
  /** The same members, whatever the pieces are. */
  tar(bytes) {
    const input = repairChecksums(bytes);
    const whole = readTar(input, input.length + 1);
    assert.deepEqual(readTar(input, 1 + (input.length % 600)), whole);
  },
  /** Reading and writing are inverse. */
  pax(input) {
    const records = expected(() => parsePaxRecords(input));
    if (records === undefined) return;
    assert.deepEqual(new Map([...parsePaxRecords(formatPaxRecords(records))]), records);
  },
  compression: inflate,
  layerIndex: writeAndReadIndex,
  dockerfile: (input) => void exerciseDockerfile(input.toString("utf8")),
  expansion(input) {
    const text = input.toString("utf8");
    const options = { keepUnset: (text.length & 1) === 1, rawQuotes: (text.length & 2) === 2 };
    expected(() => expandWord(text, ENVIRONMENT, options));
  },
  ignore,
  reference: referAndFormat,
  document(input) {
    readDocuments(input);
    readDocuments(misfitDocument(input));
  },
} satisfies Record<string, FuzzTarget>;
