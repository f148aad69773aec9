// What bin/slipway starts. The bundle is one file; what V8 compiled of it for an unchanged build lies beside it
// (scripts/write-code-cache.mjs), and takes half of its time away. Without that, or with another Node, V8 compiles what it needs.
"use strict";
const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { join } = require("node:path");
const { Script } = require("node:vm");

/** How long the name of a bundle is; its code begins with it, too. */
const NAME_LENGTH = 64;

const filename = join(__dirname, "../dist/cli.cjs");
const source = readFileSync(filename, "latin1");
const name = source.slice(2, 2 + NAME_LENGTH);
const script = new Script(source, { filename, cachedData: findCode() });
module.exports = { script, name };
script.runInThisContext()(createRequire(filename), filename);

function findCode() {
  try {
    const code = readFileSync(filename.replace(/cjs$/, "code"));
    // V8 itself compares no more of the source than its length.
    return code.latin1Slice(0, NAME_LENGTH) === name ? code.subarray(NAME_LENGTH) : undefined;
  } catch {
    return undefined;
  }
}
