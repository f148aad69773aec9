import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { REGISTRY_KEYS, SETTINGS } from "../../src/cli/settings/setting-table.ts";
import { runSlipway } from "../slipway.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";

const work = realpathSync(mkdtempSync(join(tmpdir(), "slipway-config-")));
after(() => rmSync(work, { recursive: true, force: true }));

let count = 0;

/** A repository with a subdirectory, a user with a configuration, and a command in there. */
function makePlace({ user, project }: { readonly user?: string; readonly project?: string }) {
  const place = join(work, String(count++));
  const inner = join(place, "repository/inner");
  const home = join(place, "config");
  mkdirSync(inner, { recursive: true });
  mkdirSync(join(place, "repository/.git"));
  mkdirSync(join(home, "slipway"), { recursive: true });
  if (user !== undefined) writeFileSync(join(home, "slipway/config.toml"), user);
  if (project !== undefined) writeFileSync(join(place, "repository/slipway.toml"), project);
  const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    runSlipway(args, {
      cwd: inner,
      env: { XDG_CONFIG_HOME: home, SLIPWAY_ROOT: join(work, "store"), ...env },
    });
  const show = async (args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) => {
    const { stdout, stderr } = await run([...args, "config", "show", "--format", "json"], env);
    assert.equal(stderr, "");
    const rows: { Name: string }[] = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    return new Map(rows.map((row) => [row.Name, row as Record<string, unknown>]));
  };
  return { inner, place, run, show };
}

test("the command line wins over the environment, that over the project's file, that over the user's", async () => {
  const { place, show } = makePlace({
    user: 'jobs = 3\nstore-max = "30g"\nretry = 1\n',
    project: "\njobs = 4\n",
  });
  const rows = await show(["--store-max", "50g"], { SLIPWAY_JOBS: "5", SLIPWAY_STORE_MAX: "40g" });
  const file = join(place, "config/slipway/config.toml");
  const project = join(place, "repository/slipway.toml");
  assert.deepEqual(rows.get("jobs"), {
    Name: "jobs",
    Value: "5",
    Source: "environment",
    Variable: "SLIPWAY_JOBS",
    Hidden: [
      { Value: 4, Source: "project", File: project, Line: 2 },
      { Value: 3, Source: "user", File: file, Line: 1 },
    ],
  });
  assert.deepEqual([rows.get("store-max")!.Value, rows.get("store-max")!.Option], ["50g", "--store-max"]);
  const limits = (await show(["--limit", "name-size=100"], { SLIPWAY_LIMITS: "name-size=200" })).get(
    "limits",
  );
  assert.deepEqual(limits, {
    Name: "limits",
    Value: "name-size=100",
    Source: "option",
    Option: "--limit",
    Hidden: [{ Value: "name-size=200", Source: "environment", Variable: "SLIPWAY_LIMITS" }],
  });
  assert.deepEqual(rows.get("retry"), { Name: "retry", Value: 1, Source: "user", File: file, Line: 3 });
  assert.deepEqual(rows.get("network"), { Name: "network", Value: "default", Source: "default" });
});

test("config show is a table for people", async () => {
  const { run } = makePlace({ project: 'progress = "plain"\n' });
  const { stdout } = await run(["config", "show"]);
  assert.match(stdout, /^SETTING +VALUE +FROM\n/);
  assert.match(stdout, /^progress +plain +.*slipway\.toml:1$/m);
  assert.match(stdout, /^root +\S+store +SLIPWAY_ROOT$/m);
});

test("an unknown setting is an error with the nearest one and its place", async () => {
  const { run } = makePlace({ user: '# mine\n[registry."a.example:5000"]\nmirors = ["b.example"]\n' });
  const { code, stderr } = await run(["images"]);
  assert.equal(code, 1);
  assert.match(stderr, /^Error: Cannot use the setting "mirors": there is no such setting\n/);
  assert.match(stderr, /config\.toml:3/);
  assert.match(stderr, /Did you mean "mirrors"\?/);
});

test("what is no TOML, and a value of the wrong kind, are errors with their line", async () => {
  for (const [user, line, message] of [
    ["jobs = 3\nretry = \n", 2, /Cannot read the configuration/],
    ["\n\njobs = 0\n", 3, /Cannot use "0" for jobs: it is no number from 1 to 9999/],
    ['progress = "fancy"\n', 1, /Cannot use "fancy" for progress/],
    ["allow = [{a = 1}]\n", 1, /Cannot use this for allow: it is no single value/],
  ] as const) {
    const { stderr } = await makePlace({ user }).run(["images"]);
    assert.match(stderr, message);
    assert.match(stderr, new RegExp(`config\\.toml:${line}`), user);
  }
});

/** What a hostile checkout could want. */
const HOSTILE: readonly string[] = [
  'root = "/tmp/elsewhere"',
  'store-max = "1"',
  'network = "host"',
  'allow = ["security.insecure"]',
  'authfile = "auth.json"',
  "tls-verify = false",
  'cert-dir = "certificates"',
  'runtime = "runc"',
  'limits = "context-size=1t"',
  '[registry."docker.io"]\nmirrors = ["evil.example"]',
  '[registry."docker.io"]\nlocation = "evil.example"',
  '[registry."docker.io"]\ninsecure = true',
  '[registry."docker.io"]\nblocked = false',
  '[registry."docker.io"]\ncert-dir = "certificates"',
];

for (const project of HOSTILE) {
  test(`a project's file may not say ${project.replace("\n", " ")}, unless it is trusted`, async () => {
    const { place, run } = makePlace({ project });
    const { code, stderr } = await run(["images"]);
    assert.match(stderr, /^Error: Cannot take .* from a project: it could make builds less safe/);
    assert.match(stderr, /slipway\.toml:[12]/);
    assert.equal(code, 1);
    const trusted = await run(["config", "show"], {
      SLIPWAY_TRUST: join(place, "repository"),
      SLIPWAY_ROOT: "",
    });
    assert.equal(trusted.stderr, "");
    assert.match(trusted.stdout, /slipway\.toml:[12]\n/);
  });
}

test("the user's file trusts a project; a project does not trust itself", async () => {
  const project = "tls-verify = false\n";
  const { place, run } = makePlace({ user: "", project: `trust = ["/"]\n${project}` });
  assert.match((await run(["images"])).stderr, /^Error: Cannot take tls-verify from a project/);
  writeFileSync(join(place, "config/slipway/config.toml"), `trust = ["${place}"]\n`);
  assert.equal((await run(["images"])).code, 0);
});

test("outside of a repository only the directory's own file counts", async () => {
  const directory = join(work, "plain/inner");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(work, "plain/slipway.toml"), "jobs = 7\n");
  const show = async (cwd: string) => (await runSlipway(["config", "show"], { cwd })).stdout;
  assert.doesNotMatch(await show(directory), /^jobs +7/m);
  assert.match(await show(join(work, "plain")), /^jobs +7 +slipway\.toml:1$/m);
});

const VALUES: Readonly<Record<string, string>> = {
  root: "/nowhere",
  "store-max": "20g",
  progress: "plain",
  jobs: "3",
  "cache-ttl": "24h",
  network: "none",
  allow: "network.host",
  limits: "download-size=1g",
  runtime: "runc",
  authfile: "/auth.json",
  "tls-verify": "false",
  "cert-dir": "/certificates",
  retry: "2",
  "retry-delay": "1s",
};

test("every setting has a variable, which a value of the wrong kind names", async () => {
  const { run, show } = makePlace({});
  const env = Object.fromEntries(SETTINGS.map(({ name, variable }) => [variable, VALUES[name]!]));
  const rows = await show([], env);
  for (const { name, variable } of SETTINGS) {
    assert.deepEqual([rows.get(name)!.Value, rows.get(name)!.Variable], [VALUES[name], variable]);
  }
  assert.match(
    (await run(["images"], { SLIPWAY_JOBS: "many" })).stderr,
    /Cannot use "many" for SLIPWAY_JOBS/,
  );
});

test("a location and a block of the user's file reach the registries", {
  skip: registryMissing,
}, async () => {
  await using registry = await startRegistry();
  const { inner, run } = makePlace({
    user: `[registry."docker.io/library"]\nlocation = "${registry.host}/hub"\n[registry."blocked.example"]\nblocked = true\n`,
  });
  writeFileSync(join(inner, "Dockerfile"), "FROM scratch\nLABEL a=b\n");
  const pushed = await run(["build", "-t", `${registry.host}/hub/thing:1`, "--push", "."]);
  assert.equal(pushed.code, 0, pushed.stderr);
  writeFileSync(join(inner, "Dockerfile"), "FROM thing:1\n");
  const built = await run(["build", "-q", "."]);
  assert.equal(built.code, 0, built.stderr);
  assert.match(
    (await run(["pull", "blocked.example/a"])).stderr,
    /the configuration blocks "blocked\.example"/,
  );
});

test("the documentation has every setting and key", () => {
  const text = readFileSync(join(import.meta.dirname, "../../docs/configuration.md"), "utf8");
  for (const { name, variable } of [...SETTINGS, ...REGISTRY_KEYS]) {
    assert.match(text, new RegExp(`^\\| \`${name}\` \\| \`${variable}`, "m"));
  }
});
