import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { registryMissing, startRegistry } from "../../test/start-registry.ts";
import { makeStoredCredentials } from "./credentials.ts";
import { login, logout } from "./login.ts";

const skip = registryMissing;
const tester = { username: "tester", password: "secret" };

async function makeHome(t: TestContext) {
  const home = await mkdtemp(join(tmpdir(), "slipway-home-"));
  t.after(() => rm(home, { recursive: true }));
  await mkdir(join(home, ".docker"));
  return {
    home,
    path: join(home, ".docker/config.json"),
    environment: { HOME: home, PATH: `${home}/bin:${process.env.PATH}` },
  };
}

test("login() stores what the registry accepted, for its owner alone, and keeps the rest of the file", {
  skip,
}, async (t) => {
  await using registry = await startRegistry({ htpasswd: true });
  const { home, path, environment } = await makeHome(t);
  await writeFile(path, JSON.stringify({ psFormat: "table", auths: { "other.example": { auth: "eDp5" } } }));
  const stored = await login(registry.host, { ...tester, environment });
  assert.deepEqual(stored, { storedIn: path, isPlainText: true });
  assert.deepEqual(JSON.parse(await readFile(path, "utf8")), {
    psFormat: "table",
    auths: {
      "other.example": { auth: "eDp5" },
      [registry.host]: { auth: Buffer.from("tester:secret").toString("base64") },
    },
  });
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(join(home, ".docker")), ["config.json"], "no temporary file is left");

  assert.equal(await logout(registry.host, { environment }), true);
  assert.deepEqual(Object.keys(JSON.parse(await readFile(path, "utf8")).auths), ["other.example"]);
  assert.equal(await logout(registry.host, { environment }), false);
});

test("login() with a wrong password stores nothing", { skip }, async (t) => {
  await using registry = await startRegistry({ htpasswd: true });
  const { path, environment } = await makeHome(t);
  await assert.rejects(login(registry.host, { username: "tester", password: "wrong", environment }), {
    code: "authentication",
    message: `Cannot log in to registry "${registry.host}": registry ${registry.host} answered 401 unauthorized (UNAUTHORIZED: authentication required)`,
  });
  assert.ok(!existsSync(path));
});

test("login() writes through a symlink", { skip }, async (t) => {
  await using registry = await startRegistry({ htpasswd: true });
  const { home, path, environment } = await makeHome(t);
  await writeFile(join(home, "real.json"), "{}");
  await symlink("../real.json", path);
  await login(registry.host, { ...tester, environment });
  assert.ok((await lstat(path)).isSymbolicLink());
  assert.ok((await readFile(join(home, "real.json"), "utf8")).includes(registry.host));
});

test("login() and logout() keep the password in a credential helper", { skip }, async (t) => {
  await using registry = await startRegistry({ htpasswd: true });
  const { home, path, environment } = await makeHome(t);
  await mkdir(join(home, "bin"));
  // Keeps one entry in a file, the way that the real ones keep many in a keychain.
  const program = `#!/bin/sh
case "$1" in
store) cat > "$HOME/held" ;;
get) if [ -e "$HOME/held" ]; then cat "$HOME/held"; else echo 'credentials not found in native keychain'; exit 1; fi ;;
erase) rm "$HOME/held" ;;
esac
`;
  await writeFile(join(home, "bin/docker-credential-box"), program, { mode: 0o755 });
  await writeFile(path, '{"credsStore":"box"}');
  const stored = await login(registry.host, { ...tester, environment });
  assert.deepEqual(stored, { storedIn: "docker-credential-box", isPlainText: false });
  assert.deepEqual(JSON.parse(await readFile(path, "utf8")), {
    credsStore: "box",
    auths: { [registry.host]: {} },
  });
  const found = await makeStoredCredentials({ environment })(registry.host);
  assert.deepEqual(found, { kind: "password", ...tester });
  assert.equal(await logout(registry.host, { environment }), true);
  assert.ok(!existsSync(join(home, "held")));
});

test("skopeo takes the credentials that login() stored", {
  skip: skip || (existsSync("/usr/bin/skopeo") ? false : "skopeo is missing (apt-get install skopeo)"),
}, async (t) => {
  await using registry = await startRegistry({ htpasswd: true });
  const { home, environment } = await makeHome(t);
  const authFile = join(home, "auth.json");
  await login(registry.host, { ...tester, environment, authFile });
  const inspect = (...flags: string[]) =>
    promisify(execFile)("skopeo", ["inspect", "--tls-verify=false", ...flags, `docker://${registry.host}/x`]);
  await assert.rejects(inspect("--authfile", authFile), /manifest unknown/);
  await assert.rejects(inspect("--no-creds"), /authentication required/);
});
