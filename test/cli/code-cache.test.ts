import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { runCommand, slipway } from "../slipway.ts";

const checkout = resolve(import.meta.dirname, "../..");

test("V8 takes the code that was kept for the bundle; wrong or damaged code is left alone", async () => {
  // Bundles again where the bundle is stale.
  const { stdout: version } = await slipway(["--version"]);
  const root = mkdtempSync(join(tmpdir(), "slipway-code-cache-"));
  try {
    for (const name of ["bin", "dist", "scripts", "package.json"])
      cpSync(join(checkout, name), join(root, name), { recursive: true });
    symlinkSync(join(checkout, "node_modules"), join(root, "node_modules"));
    const codePath = join(root, "dist/cli.code");
    rmSync(codePath, { force: true });
    execFileSync(process.execPath, [join(root, "scripts/write-code-cache.mjs")]);

    const tell = join(root, "tell.cjs");
    const script = `process.once("exit", () => {
      for (const { script } of require("./bin/slipway.cjs").scripts.values()) console.error(script.cachedDataRejected);
    });`;
    writeFileSync(tell, script);
    const env = { ...process.env, NODE_OPTIONS: `--require=${tell}` };
    const run = async () => {
      const { code, stdout, stderr } = await runCommand(join(root, "bin/slipway"), ["--version"], { env });
      assert.deepEqual([code, stdout], [0, version], stderr);
      return stderr.trim();
    };
    assert.equal(await run(), "false", "taken");
    const asking = ["--root", join(root, "store"), "pull", "127.0.0.1:1/a"];
    const asked = await runCommand(join(root, "bin/slipway"), asking, { env });
    assert.match(asked.stderr, /^false\nfalse\n$/m, "the HTTP client's, too");

    const kept = readFileSync(codePath);
    writeFileSync(codePath, Buffer.concat([Buffer.alloc(64, "0"), kept.subarray(64)]));
    assert.equal(await run(), "undefined", "of another bundle");
    writeFileSync(codePath, kept);
    truncateSync(codePath, kept.length - 1000);
    assert.equal(await run(), "true", "cut off");
    rmSync(codePath);
    mkdirSync(codePath);
    assert.equal(await run(), "undefined", "unreadable");
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
