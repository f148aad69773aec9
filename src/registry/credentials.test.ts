import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { makeStoredCredentials } from "./credentials.ts";

// File formats: docker's cli/config/configfile, containers-auth.json(5); programs: docker-credential-helpers.

const base64 = (text: string) => Buffer.from(text).toString("base64");

/** A home directory with files, and the environment of a user who lives there. */
async function makeHome(t: TestContext, files: Readonly<Record<string, unknown>>) {
  const home = await mkdtemp(join(tmpdir(), "slipway-home-"));
  t.after(() => rm(home, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    const path = join(home, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, typeof content === "string" ? content : JSON.stringify(content), { mode: 0o755 });
  }
  return { home, environment: { HOME: home, PATH: `${home}/bin:${process.env.PATH}` } };
}

const password = (username: string, secret: string) => ({ kind: "password", username, password: secret });

test("docker's config.json: auths in all their forms", async (t) => {
  const { environment } = await makeHome(t, {
    ".docker/config.json": {
      auths: {
        "https://index.docker.io/v1/": { auth: base64("hub:a:b") },
        "quay.io": { auth: base64("me:secret") },
        "https://old.example/v1/": { auth: base64("old:timer") },
        "plain.example": { username: "u", password: "p" },
        "token.example": { auth: base64("<token>:"), identitytoken: "refresh" },
        "bearer.example": { registrytoken: "t" },
        "empty.example": {},
      },
    },
  });
  const find = makeStoredCredentials({ environment });
  assert.deepEqual(await find("docker.io"), password("hub", "a:b"));
  assert.deepEqual(await find("quay.io"), password("me", "secret"));
  assert.deepEqual(await find("old.example"), password("old", "timer"));
  assert.deepEqual(await find("plain.example"), password("u", "p"));
  assert.deepEqual(await find("token.example"), { kind: "identity-token", identityToken: "refresh" });
  assert.deepEqual(await find("bearer.example"), { kind: "registry-token", registryToken: "t" });
  assert.equal(await find("empty.example"), undefined);
  assert.equal(await find("quay.io:5000"), undefined);
});

// containers-auth.json(5), "FORMAT": the example of namespaces.
test("podman's auth.json: the longest namespace of a repository counts", async (t) => {
  const { environment } = await makeHome(t, {
    ".config/containers/auth.json": {
      auths: {
        "quay.io": { auth: base64("registry:x") },
        "quay.io/group": { auth: base64("group:x") },
        "quay.io/group/team/tool": { auth: base64("tool:x") },
        "docker.io/me": { auth: base64("mine:x") },
        "https://index.docker.io/v1/": { auth: base64("hub:x") },
      },
    },
  });
  const find = makeStoredCredentials({ environment });
  for (const [host, repository, username] of [
    ["quay.io", "group/team/tool", "tool"],
    ["quay.io", "group/team/other", "group"],
    ["quay.io", "group", "group"],
    ["quay.io", "groups/x", "registry"],
    ["quay.io", undefined, "registry"],
    ["docker.io", "me/app", "mine"],
    ["docker.io", "library/alpine", "hub"],
  ] as const) {
    assert.deepEqual(await find(host, repository), password(username, "x"), `${host}/${repository}`);
  }
  assert.equal(await find("other.example", "group/team/tool"), undefined);
});

test("the files are found where docker and podman leave them", async (t) => {
  const file = (name: string) => ({ auths: { "r.example": { auth: base64(`${name}:x`) } } });
  const { home, environment } = await makeHome(t, {
    ".docker/config.json": { auths: {} },
    "elsewhere/config.json": file("elsewhere"),
    ".config/containers/auth.json": file("podman"),
    "runtime/containers/auth.json": file("runtime"),
    "named.json": file("named"),
  });
  const find = async (more: Record<string, string>, authFile?: string) => {
    const found = await makeStoredCredentials({ environment: { ...environment, ...more }, authFile })(
      "r.example",
    );
    return found?.kind === "password" ? found.username : undefined;
  };
  assert.equal(await find({}), "podman");
  assert.equal(await find({ XDG_RUNTIME_DIR: `${home}/runtime` }), "runtime");
  assert.equal(await find({ DOCKER_CONFIG: `${home}/elsewhere` }), "elsewhere");
  assert.equal(await find({ REGISTRY_AUTH_FILE: `${home}/named.json` }), "named");
  assert.equal(await find({ DOCKER_CONFIG: `${home}/elsewhere` }, `${home}/named.json`), "named");
  await assert.rejects(find({}, `${home}/no.json`), {
    code: "authentication",
    message: `Cannot read the credentials in "${home}/no.json": there is no such file`,
  });
});

test("a broken file is named, and its text is not shown", async (t) => {
  const { home, environment } = await makeHome(t, {
    ".docker/config.json": '{"auths": {"x": {"password": "hunter2"',
    "bad.json": { auths: { "r.example": { auth: base64("nocolon") } } },
  });
  await assert.rejects(makeStoredCredentials({ environment })("x"), (error: Error) => {
    assert.equal(
      error.message,
      `Cannot read the credentials in "${home}/.docker/config.json": it is no JSON object`,
    );
    assert.ok(!JSON.stringify(error).includes("hunter2") && !String(error.cause).includes("hunter2"));
    return true;
  });
  await assert.rejects(makeStoredCredentials({ environment, authFile: `${home}/bad.json` })("r.example"), {
    code: "authentication",
    message: `Cannot use the credentials of "r.example" in "${home}/bad.json": they are not base64 of "user:password"`,
  });
});

/** As docker-credential-helpers behave: the answer on stdout, failures there, too, with exit code 1. */
const HELPER = `#!/bin/sh
read -r key
case "$1 $key" in
"get r.example") echo '{"ServerURL":"r.example","Username":"held","Secret":"by helper"}' ;;
"get t.example") echo '{"ServerURL":"t.example","Username":"<token>","Secret":"refresh"}' ;;
"get https://index.docker.io/v1/") echo '{"Username":"hub","Secret":"x"}' ;;
"get broken.example") echo 'the keychain is locked'; exit 1 ;;
"get odd.example") echo 'no json' ;;
*) echo 'credentials not found in native keychain'; exit 1 ;;
esac
`;

test("credential helpers are asked, the store before auths", async (t) => {
  const { environment } = await makeHome(t, {
    "bin/docker-credential-box": HELPER,
    ".docker/config.json": {
      credsStore: "box",
      credHelpers: { "gone.example": "nowhere", "evil.example": "../../bin/sh" },
      auths: {
        "r.example": { auth: base64("not:this") },
        "other.example": { auth: base64("but:this") },
      },
    },
  });
  const find = makeStoredCredentials({ environment });
  assert.deepEqual(await find("r.example"), password("held", "by helper"));
  assert.deepEqual(await find("t.example"), { kind: "identity-token", identityToken: "refresh" });
  assert.deepEqual(await find("docker.io"), password("hub", "x"));
  assert.deepEqual(await find("other.example"), password("but", "this"));
  assert.equal(await find("unknown.example"), undefined);
  await assert.rejects(find("broken.example"), {
    code: "authentication",
    message: 'Cannot get credentials with "docker-credential-box": the keychain is locked',
  });
  await assert.rejects(find("odd.example"), /its answer is not JSON/);
  await assert.rejects(find("gone.example"), {
    code: "authentication",
    message: 'Cannot get credentials with "docker-credential-nowhere": there is no such program in PATH',
  });
  await assert.rejects(find("evil.example"), /that is no program's name/);
});
