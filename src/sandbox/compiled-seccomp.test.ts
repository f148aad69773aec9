import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCompiledSeccomp } from "./compiled-seccomp.ts";
import type { RuntimeConfig } from "./holder-protocol.ts";

/** crun 1.8 fails a container, whose command may have ended well, when a hook ends before it was told the state. */
test("the hook that keeps a compiled profile waits until it is told the container's state", async () => {
  const directory = mkdtempSync(join(tmpdir(), "slipway-seccomp-"));
  try {
    mkdirSync(join(directory, "id"));
    writeFileSync(join(directory, "id/seccomp.bpf"), "program");
    const config = { linux: { seccomp: '{"defaultAction":"SCMP_ACT_ALLOW"}' } } as unknown as RuntimeConfig;
    const [hook] = makeCompiledSeccomp(directory, directory).addTo(config, "id").hooks!.poststart!;
    const child = spawn(hook!.path, hook!.args!.slice(1), { stdio: ["pipe", "ignore", "ignore"] });
    const closed = once(child, "close");
    child.stdin.on("error", () => {});
    // Long enough for one that does not wait to have ended.
    await sleep(300);
    assert.equal(child.exitCode, null);
    child.stdin.end('{\n  "ociVersion": "1.0"\n}');
    assert.deepEqual(await closed, [0, null]);
    assert.equal(readFileSync(join(directory, "seccomp-0"), "utf8"), "program");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
