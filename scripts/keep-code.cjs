// Loaded into runs of bin/slipway by write-code-cache.mjs: writes what V8 has compiled, or was given, when the run ends.
"use strict";
const { renameSync, writeFileSync } = require("node:fs");
const { isMainThread } = require("node:worker_threads");

if (isMainThread) {
  process.once("exit", () => {
    for (const [filename, { script, name }] of require("../bin/slipway.cjs").scripts) {
      const path = filename.replace(/cjs$/, "code");
      writeFileSync(`${path}.new`, Buffer.concat([Buffer.from(name), script.createCachedData()]));
      renameSync(`${path}.new`, path);
    }
  });
}
