// What bin/slipway starts. The bundle is one file, with one more for each large package; what V8 compiled of them for a build and a push lies beside
// them (scripts/write-code-cache.mjs), and takes half of their time away. Without that, or with another Node, V8 compiles what it needs.
"use strict";
const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { join } = require("node:path");
const { Script } = require("node:vm");

/** How long the name of a bundle is; its code begins with it, too. */
const NAME_LENGTH = 64;

const dist = join(__dirname, "../dist");
const bundle = join(dist, "cli.cjs");
const requireFound = createRequire(bundle);
/** What has run, by its path: `{ script, name }`. */
const scripts = new Map();
module.exports = { scripts };
load(bundle)(requirePackage, bundle);

/** A package that lies beside the bundle, or whatever else there is. */
function requirePackage(id) {
  if (!id.startsWith("./")) return requireFound(id);
  const module = { exports: {} };
  load(join(dist, id))(requireFound, module, module.exports);
  return module.exports;
}

/** The function that a file is an expression of. */
function load(filename) {
  const source = readFileSync(filename, "latin1");
  const name = source.slice(2, 2 + NAME_LENGTH);
  const script = new Script(source, { filename, cachedData: findCode(filename, name) });
  scripts.set(filename, { script, name });
  return script.runInThisContext();
}

function findCode(filename, name) {
  try {
    const code = readFileSync(filename.replace(/cjs$/, "code"));
    // V8 itself compares no more of the source than its length.
    return code.latin1Slice(0, NAME_LENGTH) === name ? code.subarray(NAME_LENGTH) : undefined;
  } catch {
    return undefined;
  }
}
