import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { openCgroup } from "./held-cgroups.ts";

/** A directory laid out as cgroup v2 stands in for it: the kernel's files are written by the test. */
describe("the cgroup of a command on cgroup v2", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "slipway-cgroup-"));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const memory = { limit: 32 << 20, swap: 64 << 20 };

  it("with a limit on memory stands in one of ours, and the limit is the runtime's to set", () => {
    const cgroup = openCgroup("v2", "/slipway/build/id", { resources: { memory }, root });
    assert.equal(cgroup.path, "/slipway/build/id/command");
    assert.deepEqual(cgroup.resources, { memory });
    assert.ok(existsSync(join(root, "slipway/build/id")));
    cgroup.remove();
    assert.ok(!existsSync(join(root, "slipway/build/id")));
  });

  it("says that the kernel killed something in it, as the one around it counts (cgroup-v2.rst, memory.events)", () => {
    const cgroup = openCgroup("v2", "/slipway/build/id", { resources: { memory }, root });
    const events = join(root, "slipway/build/id/memory.events");
    const write = (kills: number) =>
      writeFileSync(events, `low 0\nhigh 0\nmax 12\noom 1\noom_kill ${kills}\noom_group_kill 0\n`);
    write(0);
    assert.equal(cgroup.ranOutOfMemory(), false);
    write(2);
    assert.equal(cgroup.ranOutOfMemory(), true);
  });

  it("without one is the runtime's alone", () => {
    const cgroup = openCgroup("v2", "/slipway/build/id", { resources: {}, root });
    assert.equal(cgroup.path, "/slipway/build/id");
    assert.equal(cgroup.ranOutOfMemory(), false);
    assert.ok(!existsSync(join(root, "slipway")));
  });
});
