import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runSlipway } from "../slipway.ts";

const work = mkdtempSync(join(tmpdir(), "slipway-progress-"));
after(() => rmSync(work, { recursive: true, force: true }));
writeFileSync(join(work, "Dockerfile"), "FROM scratch AS Base\nCOPY Dockerfile /a\nWORKDIR /b\n");
writeFileSync(join(work, "broken"), "FROM scratch\n\nCOPY missing, /\n");

const build = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  runSlipway(["build", ...args, "."], {
    root: join(work, "store"),
    cwd: work,
    env,
  });

test("rawjson: every line of stderr is a SolveStatus, and vertexes end", async () => {
  const { stderr, code } = await build(["--progress=rawjson"]);
  assert.equal(code, 0, stderr);
  const lines = stderr
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const vertexes = lines.flatMap((line) => line.vertexes ?? []);
  const names = new Set(vertexes.map(({ name }) => name));
  const completed = new Set(vertexes.filter((one) => one.completed).map(({ name }) => name));
  assert.ok(names.size >= 2, stderr);
  assert.deepEqual(completed, names);
  const warning = lines.flatMap((line) => line.warnings ?? [])[0];
  assert.match(Buffer.from(warning.short, "base64").toString(), /^StageNameCasing: /);
});

test("on GitHub steps are groups, findings and errors are annotations", async () => {
  const env = { GITHUB_ACTIONS: "true" };
  const { stderr } = await build(["--no-cache"], env);
  assert.match(stderr, /^::group::#\d+ .*COPY Dockerfile \/a\n#\d+ DONE [\d.]+s\n::endgroup::$/m);
  assert.equal(stderr.match(/^::group::/gm)?.length, stderr.match(/^::endgroup::/gm)?.length);
  assert.match(stderr, /^::warning file=Dockerfile,line=1::StageNameCasing: /m);
  const failed = await build(["-f", "broken"], env);
  assert.match(failed.stderr, /^::error file=broken,line=3::Cannot copy "\/missing,": /m);
});

test("on GitLab steps are sections that fold", async () => {
  const { stderr } = await build(["--no-cache"], { GITLAB_CI: "true" });
  const starts = [...stderr.matchAll(/\u001b\[0Ksection_start:\d{10}:(\w+)\[collapsed=true\]\r\u001b\[0K#/g)];
  const ends = [...stderr.matchAll(/\u001b\[0Ksection_end:\d{10}:(\w+)\r\u001b\[0K\n/g)];
  assert.ok(starts.length >= 2, stderr);
  assert.deepEqual(
    ends.map(([, id]) => id),
    starts.map(([, id]) => id),
  );
});
