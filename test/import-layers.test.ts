import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

/**
 * Which folder may import which, besides itself: the flow of ARCHITECTURE.md. An arrow that is not here is a change of
 * the design: add it in the commit that needs it, and say why in the message.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  // leaves
  errors: [],
  oci: ["errors"],
  threads: ["errors"],
  store: ["errors", "oci"],
  registry: ["errors", "oci"],
  progress: ["errors"],
  // the flow
  dockerfile: ["errors", "oci"],
  plan: ["errors", "oci", "dockerfile"],
  rootfs: ["errors", "oci", "threads", "store"],
  context: ["errors", "oci", "dockerfile", "plan", "threads", "store", "registry", "rootfs"],
  sandbox: ["errors", "oci", "threads", "store", "rootfs", "progress"],
  cache: ["errors", "oci", "store", "plan"],
  image: ["errors", "oci", "plan", "store", "rootfs", "registry", "threads", "progress"],
  export: ["errors", "oci", "plan", "store", "rootfs", "registry", "threads", "progress", "image"],
  solve: [
    "errors",
    "oci",
    "plan",
    "store",
    "rootfs",
    "registry",
    "threads",
    "progress",
    "context",
    "cache",
    "sandbox",
    "image",
  ],
  // around
  "remote-cache": ["errors", "oci", "store", "registry", "image", "export", "solve"],
  build: [
    "errors",
    "oci",
    "dockerfile",
    "plan",
    "store",
    "rootfs",
    "registry",
    "threads",
    "progress",
    "context",
    "cache",
    "sandbox",
    "image",
    "export",
    "solve",
    "remote-cache",
  ],
  operations: [
    "errors",
    "oci",
    "dockerfile",
    "plan",
    "store",
    "rootfs",
    "registry",
    "progress",
    "context",
    "threads",
    "cache",
    "sandbox",
    "image",
    "export",
    "build",
  ],
  // The library, and what only reads or writes text: errors and their hints, names and documents, Dockerfiles, the rendering of events.
  cli: ["index.ts", "errors", "oci", "dockerfile", "progress"],
};

const sourceRoot = resolve(import.meta.dirname, "../src");
const IMPORT = /(?:from|import)\s*\(?\s*"(\.[^"]+)"/g;

/** The folder in src/ that a file is in, or the name of an entry point, which ties the folders together and may import all. */
function folderOf(path: string): string {
  return relative(sourceRoot, path).split("/")[0]!;
}

test("every import follows the table of folders", () => {
  const wrong: string[] = [];
  for (const item of readdirSync(sourceRoot, { recursive: true, withFileTypes: true })) {
    if (!item.isFile() || !item.name.endsWith(".ts") || item.name.endsWith(".test.ts")) continue;
    const path = join(item.parentPath, item.name);
    const folder = folderOf(path);
    if (folder === item.name) continue;
    const allowed = MAY_IMPORT[folder];
    assert.ok(allowed, `src/${folder} is not in the table`);
    for (const [, specifier] of readFileSync(path, "utf8").matchAll(IMPORT)) {
      const target = folderOf(resolve(dirname(path), specifier!));
      // package.json, for the version.
      if (target === "..") continue;
      if (target !== folder && !allowed.includes(target)) {
        wrong.push(`${relative(sourceRoot, path)} imports ${specifier}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test("dockerfile/ and plan/ do no I/O", () => {
  const wrong: string[] = [];
  for (const folder of ["dockerfile", "plan", "errors"]) {
    for (const name of readdirSync(join(sourceRoot, folder), { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".ts") || name.endsWith(".test.ts")) continue;
      if (
        /from "node:|process\.|Date\.now|new Date\(\)/.test(
          readFileSync(join(sourceRoot, folder, name), "utf8"),
        )
      ) {
        wrong.push(`${folder}/${name}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});
