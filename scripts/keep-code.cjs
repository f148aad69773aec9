// Loaded into a run of bin/slipway by write-code-cache.mjs: writes what V8 has compiled when the run ends.
"use strict";
const { renameSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const { isMainThread } = require("node:worker_threads");

if (isMainThread) {
  process.once("exit", () => {
    const { script, name } = require("../bin/slipway.cjs");
    const path = join(__dirname, "../dist/cli.code");
    writeFileSync(`${path}.new`, Buffer.concat([Buffer.from(name), script.createCachedData()]));
    renameSync(`${path}.new`, path);
  });
}
