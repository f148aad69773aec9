import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { runMissing } from "../../test/build-bench.ts";
import { findRuntime } from "./find-runtime.ts";
import { sealRuntime } from "./seal-runtime.ts";

test("crun is a program in memory that nobody can write to", { skip: runMissing }, () => {
  const crun = findRuntime(process.env.PATH ?? "", { name: "crun" });
  const { name, path } = sealRuntime(crun);
  assert.equal(name, "crun");
  assert.notEqual(path, crun.path);
  const version = (program: string) => execFileSync(program, ["--version"], { encoding: "utf8" });
  assert.equal(version(path), version(crun.path));
  assert.throws(() => writeFileSync(path, "#!/bin/sh\n"), /EPERM|ETXTBSY/);
  assert.throws(() => writeFileSync(path, "#!/bin/sh\n", { flag: "r+" }), /EPERM|ETXTBSY/);
});

test("another runtime is started as it is", () => {
  const runc = { name: "runc", path: "/usr/sbin/runc" } as const;
  assert.equal(sealRuntime(runc), runc);
});
