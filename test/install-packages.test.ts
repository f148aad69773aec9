import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { findMissingPackages } from "../scripts/install-packages.ts";
import { runCommand } from "./slipway.ts";

const skip = !existsSync("/usr/bin/dpkg-query") && "needs Debian's dpkg";
const script = resolve(import.meta.dirname, "../scripts/install-packages.ts");
const absent = "no-package-has-this-name";

/** Calls `installPackages` in a process of its own that is not root, whoever runs this test. */
function installAsUser(names: readonly string[]) {
  const code = `process.getuid() || process.setuid(65534); (await import(process.argv[1])).installPackages(process.argv.slice(2))`;
  return runCommand(process.execPath, ["--input-type=module", "-e", code, script, ...names]);
}

test("findMissingPackages() tells what is installed from what is not", { skip }, () => {
  // Essential: every Debian has them; libc6 is listed with its architecture.
  assert.deepEqual(findMissingPackages(["dpkg", absent, "libc6"]), [absent]);
});

test("installPackages() without root prints the line to run and fails", { skip }, async () => {
  const { code, stdout, stderr } = await installAsUser(["dpkg", absent]);
  assert.equal(code, 1);
  assert.equal(stdout, "");
  const line = `  apt-get update && apt-get install -y --no-install-recommends ${absent}`;
  assert.ok(stderr.split("\n").includes(line), stderr);
});

test("installPackages() without root says nothing when all is there", { skip }, async () => {
  assert.deepEqual(await installAsUser(["dpkg", "libc6"]), { code: 0, stdout: "", stderr: "" });
});
