import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runSlipway, slipway } from "../slipway.ts";
import { dockerMissing, type RunningDocker, startDocker } from "../start-docker.ts";

const work = mkdtempSync(join(tmpdir(), "slipway-format-"));
after(() => rmSync(work, { recursive: true, force: true }));

const options = { root: join(work, "store"), cwd: work };
const run = async (...args: readonly string[]) => (await slipway(args, options)).stdout;
const fail = async (...args: readonly string[]) => {
  const { code, stderr } = await runSlipway(args, options);
  assert.equal(code, 1, args.join(" "));
  return stderr;
};

before(async () => {
  writeFileSync(join(work, "hello"), "hello\n");
  writeFileSync(
    join(work, "Dockerfile"),
    [
      "FROM scratch",
      'ENV A=b C="d e"',
      'LABEL l=1 two="x y"',
      "COPY hello /etc/hello",
      "EXPOSE 80 53/udp",
      "HEALTHCHECK --interval=5s CMD true",
      'CMD ["/bin/sh", "-c", "echo a very long command that does not fit into the column"]',
    ].join("\n"),
  );
  await slipway(["build", "-q", "-t", "demo:1", "-t", "registry.example:5000/a/b:2", "."], options);
  await slipway(
    ["build", "-q", "-t", "old:1", "--label", "l=2", "--source-date-epoch", "1000000000", "."],
    options,
  );
});

describe("formats as Debian's docker has them:", { skip: dockerMissing }, () => {
  let docker: RunningDocker;
  before(async () => {
    docker = await startDocker();
    await slipway(["save", "-o", "demo.tar", "demo:1", "registry.example:5000/a/b:2"], options);
    await docker.run(["load", "-q", "-i", join(work, "demo.tar")]);
  });
  after(() => docker[Symbol.asyncDispose]());
  const same = async (...args: readonly string[]) => {
    const wanted = (await docker.run(args)).stdout;
    // Lines of images of the same age have no order.
    const plain = (text: string) => {
      const lines = text.split("\n").map((line) => line.trimEnd());
      return args[0] === "images" ? lines.sort() : lines;
    };
    assert.deepEqual(plain(await run(...args)), plain(wanted), args.join(" "));
  };

  for (const template of [
    "json .Config",
    ".Config.Labels",
    ".Config.Healthcheck.Test",
    ".Config.Entrypoint",
    ".Config.StopSignal",
    "index .Config.Labels `two`",
    "index .RepoTags 0",
    "range .Config.Env}}{{println .}}{{end",
    "json .RootFS",
    ".Parent}}{{.Author}}{{.Comment}}{{.Created",
    "if eq .Os `linux`}}yes{{else}}no{{end",
    "range $k, $v := .Config.ExposedPorts}}{{$k}} {{end",
  ]) {
    test(`inspect -f {{${template}}}`, () => same("inspect", "-f", `{{${template}}}`, "demo:1"));
  }

  test("inspect shows what docker shows, and nothing in another form", async () => {
    const [wanted] = JSON.parse((await docker.run(["image", "inspect", "demo:1"])).stdout);
    const [found] = JSON.parse(await run("image", "inspect", "demo:1"));
    // What only an engine with containers knows, and what newer engines have left out, too.
    for (const name of ["Container", "ContainerConfig", "VirtualSize"]) delete wanted[name];
    for (const name of ["GraphDriver", "Metadata", "Size"]) {
      assert.equal(typeof found[name], typeof wanted[name]);
      wanted[name] = found[name];
    }
    assert.deepEqual(found, wanted);
    assert.deepEqual(Object.keys(found.Config), Object.keys(wanted.Config));
  });

  test("history, in all its forms", async () => {
    const columns = "{{.ID}}\\t{{.CreatedAt}}\\t{{.CreatedBy}}\\t{{.Comment}}";
    await same("history", "-q", "demo:1");
    await same("history", "-q", "--no-trunc", "demo:1");
    await same("history", "--format", `table ${columns}`, "demo:1");
    await same("history", "--no-trunc", "--format", columns, "demo:1");
    const heading = async (...args: readonly string[]) =>
      (await run("history", ...args, "demo:1")).split("\n")[0];
    assert.match((await heading())!, /^IMAGE +CREATED +CREATED BY +SIZE +COMMENT$/);
    assert.match((await heading("-H=false"))!, /^IMAGE +CREATED AT +CREATED BY +SIZE +COMMENT$/);
    assert.match(await run("history", "--human=false", "--format", "{{.Size}}", "demo:1"), /^\d{2,}$/m);
  });

  test("images, in all its forms", async () => {
    const only = (...args: readonly string[]) => ["images", ...args, "demo"];
    await same(...only("--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.CreatedAt}} {{.Digest}}"));
    await same(...only("--format", "table {{.ID}}\\t{{lower .Repository}}|{{.Tag}}"));
    await same(...only("--no-trunc", "-q"));
    await same(...only("-q", "--format", "{{.Tag}}"));
    const keys = JSON.parse((await docker.run(only("--format", "{{json .}}"))).stdout);
    delete keys.VirtualSize;
    const found = JSON.parse(await run(...only("--format", "json")));
    for (const name of Object.keys(keys)) assert.equal(typeof found[name], typeof keys[name], name);
    for (const filter of [
      "label=l=1",
      "reference=dem*",
      "reference=*/a/b:2",
      "dangling=true",
      "since=demo:1",
    ]) {
      await same("images", "--filter", filter, "--format", "{{.Repository}}:{{.Tag}}");
    }
    await same("images", "--format", "{{.Tag}}", "d?mo");
  });
});

test("images --filter: label, before, since, until, reference, dangling", async () => {
  const names = async (...filters: readonly string[]) =>
    (await run("images", ...filters.flatMap((one) => ["-f", one]), "--format", "{{.Repository}}"))
      .trim()
      .split("\n")
      .sort();
  assert.deepEqual(await names("label=l=2"), ["old"]);
  assert.deepEqual(await names("label=l"), ["demo", "old", "registry.example:5000/a/b"]);
  assert.deepEqual(await names("before=demo:1"), ["old"]);
  assert.deepEqual(await names("since=old:1"), ["demo", "registry.example:5000/a/b"]);
  assert.deepEqual(await names("until=24h"), ["old"]);
  assert.deepEqual(await names("until=2001-01-01"), [""]);
  assert.deepEqual(await names("reference=old", "reference=demo:*"), ["demo", "old"]);
  assert.deepEqual(await names("reference=o*", "label=l=1"), [""]);
  await slipway(["build", "-q", "-t", "old:2", "--label", "l=3", "."], options);
  await slipway(["tag", "old:2", "old:1"], options);
  assert.deepEqual(await names("dangling=true"), ["<none>"]);
  assert.deepEqual(await names("dangling=false", "reference=old:1"), ["old"]);
});

test("images says what is wrong with a filter or a format", async () => {
  assert.match(
    await fail("images", "-f", "lable=x"),
    /Cannot use "lable=x" for --filter: .*\n\nHint: Did you mean "label"\?/,
  );
  assert.match(await fail("images", "-f", "dangling=maybe"), /neither true nor false/);
  assert.match(await fail("images", "-f", "until=x"), /it is no time/);
  assert.match(await fail("images", "-f", "since=nothing"), /Cannot find the image "nothing"/);
  assert.match(await fail("images", "--format", "{{.Foo}}"), /there is no field "Foo"/);
  assert.match(await fail("history", "--format", "{{nope .}}", "demo:1"), /function "nope" not defined/);
  assert.match(await fail("inspect", "-f", "{{", "demo:1"), /unclosed action/);
});
