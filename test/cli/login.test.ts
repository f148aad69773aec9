import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runSlipway, slipway, slipwayPath } from "../slipway.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";

const skip = registryMissing;
const work = mkdtempSync(join(tmpdir(), "slipway-login-"));
after(() => rmSync(work, { recursive: true, force: true }));

/** Commands with a home, and so credentials, of their own. */
function makeHome() {
  const home = mkdtempSync(join(work, "home-"));
  const env = {
    HOME: home,
    DOCKER_CONFIG: undefined,
    REGISTRY_AUTH_FILE: undefined,
    XDG_RUNTIME_DIR: undefined,
  };
  const root = join(home, "store");
  return {
    home,
    env,
    root,
    path: join(home, ".docker/config.json"),
    run: (args: readonly string[], input?: string) => slipway(args, { root, env, input }),
    fail: async (args: readonly string[], input?: string) => {
      const { code, stderr } = await runSlipway(args, { root, env, input });
      assert.equal(code, 1);
      return stderr;
    },
  };
}

test("login takes the password from stdin; build --push, pull and push then have it; logout forgets it", {
  skip,
}, async () => {
  await using registry = await startRegistry({ htpasswd: true });
  const { home, path, run, fail } = makeHome();
  const context = join(home, "context");
  mkdirSync(context);
  writeFileSync(join(context, "Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n");
  const name = `${registry.host}/a:1`;
  assert.match(await fail(["build", "-t", name, "--push", context]), /401 unauthorized/);

  const args = ["login", "-u", "tester", "--password-stdin", registry.host];
  const { stdout, stderr } = await run(args, "secret\n");
  assert.equal(stdout, "Login Succeeded\n");
  assert.match(stderr, new RegExp(`^WARNING! Your credentials are stored unencrypted in '${path}'\\.\n`));
  assert.deepEqual(JSON.parse(readFileSync(path, "utf8")), {
    auths: { [registry.host]: { auth: Buffer.from("tester:secret").toString("base64") } },
  });

  await run(["build", "-q", "-t", name, "--push", context]);
  await run(["push", "-q", name]);
  const elsewhere = join(home, "elsewhere");
  await run(["pull", "-q", "--root", elsewhere, name]);
  assert.match((await run(["cat", "--root", elsewhere, `${name}:/Dockerfile`])).stdout, /^FROM scratch/);

  assert.equal(
    (await run(["logout", registry.host])).stdout,
    `Removing login credentials for ${registry.host}\n`,
  );
  assert.equal((await run(["logout", registry.host])).stdout, `Not logged in to ${registry.host}\n`);
  assert.match(await fail(["pull", name]), /401 unauthorized/);
});

test("--authfile keeps the credentials elsewhere, for login, pull and logout", { skip }, async () => {
  await using registry = await startRegistry({ htpasswd: true });
  const { home, path, run, fail } = makeHome();
  const authFile = ["--authfile", join(home, "auth.json")];
  await run(
    ["login", ...authFile, "-u", "tester", "--password-stdin", `http://${registry.host}/v2/`],
    "secret",
  );
  assert.ok(!existsSync(path));
  const missing = `${registry.host}/none:1`;
  assert.match(await fail(["pull", missing]), /authentication required/);
  assert.match(
    await fail(["pull", ...authFile, missing]),
    /manifest unknown|MANIFEST_UNKNOWN|no such image/i,
  );
  assert.match((await run(["logout", ...authFile, registry.host])).stdout, /^Removing/);
});

test("login without a name tries the credentials that are there", { skip }, async () => {
  await using registry = await startRegistry({ htpasswd: true });
  const { run, fail } = makeHome();
  assert.match(await fail(["login", registry.host]), /Cannot ask for the password: stdin is not a terminal/);
  await run(["login", "-u", "tester", "--password-stdin", registry.host], "secret\n");
  const again = await run(["login", registry.host]);
  assert.match(again.stderr, /^Authenticating with existing credentials\.\.\. \[Username: tester\]\n/);
  assert.equal(again.stdout, "Login Succeeded\n");
});

test("login warns of a password among the arguments, and refuses a wrong one", { skip }, async () => {
  await using registry = await startRegistry({ htpasswd: true });
  const { path, run, fail } = makeHome();
  const stderr = await fail(["login", "-u", "tester", "-p", "wrong-pass", registry.host]);
  assert.match(stderr, /^WARNING! Using --password via the CLI is insecure\. Use --password-stdin\.\n/);
  assert.match(stderr, /Error: Cannot log in to registry/);
  assert.match(stderr, /Hint: The user name or the password is wrong/);
  assert.doesNotMatch(stderr, /wrong-pass/);
  assert.ok(!existsSync(path));
  assert.match(
    (await run(["login", "-u", "tester", "-p", "secret", registry.host])).stderr,
    /^WARNING! Using --password/,
  );
});

test("login leaves the password with the credential helper, which pull asks", { skip }, async () => {
  await using registry = await startRegistry({ htpasswd: true });
  const { home, path, env, root } = makeHome();
  const program = join(home, "docker-credential-box");
  writeFileSync(
    program,
    `#!/bin/sh
case "$1" in
store) cat > "$HOME/held" ;;
get) if [ -e "$HOME/held" ]; then cat "$HOME/held"; else echo 'credentials not found in native keychain'; exit 1; fi ;;
erase) rm "$HOME/held" ;;
esac
`,
  );
  chmodSync(program, 0o755);
  mkdirSync(join(home, ".docker"));
  writeFileSync(path, '{"credsStore":"box"}');
  const options = { root, env: { ...env, PATH: `${home}:${process.env.PATH}` } };
  const args = ["login", "-u", "tester", "--password-stdin", registry.host];
  const { stdout, stderr } = await slipway(args, { ...options, input: "secret" });
  assert.equal(stdout + stderr, "Login Succeeded\n");
  assert.doesNotMatch(readFileSync(path, "utf8"), /secret|c2VjcmV0/);
  const pulled = await runSlipway(["pull", `${registry.host}/none:1`], options);
  assert.doesNotMatch(pulled.stderr, /authentication required/);
  await slipway(["logout", registry.host], options);
  assert.ok(!existsSync(join(home, "held")));
});

test("login says what is missing", async () => {
  const { fail } = makeHome();
  assert.match(await fail(["login", "--password-stdin", "localhost:1"], "x"), /needs --username/);
  assert.match(
    await fail(["login", "-u", "a", "--password-stdin", "localhost:1"], "\n"),
    /password is empty/,
  );
  assert.match(
    await fail(["login", "-u", "a", "-p", "b", "--password-stdin", "localhost:1"], "x"),
    /--password and --password-stdin exclude each other/,
  );
  assert.match(await fail(["login", "-u", "a", "--password-stdin", "a b"], "x"), /"a b" as a registry/);
});

/** Runs `login HOST` on a terminal and types an answer when something that is asked for appears. */
async function loginOnTerminal(
  host: string,
  { env, root }: Pick<ReturnType<typeof makeHome>, "env" | "root">,
  answers: Readonly<Record<string, string>>,
) {
  const terminal = spawn("script", ["-qec", `${slipwayPath} login ${host}`, "/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...env, SLIPWAY_ROOT: root },
  });
  let seen = "";
  terminal.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    for (const [question, answer] of Object.entries(answers)) {
      if (!seen.includes(question) && (seen + chunk).includes(question)) terminal.stdin.write(answer);
    }
    seen += chunk;
  });
  const [code] = await once(terminal, "close");
  terminal.stdin.end();
  return { code, seen };
}

const skipTerminal =
  skip || (!existsSync("/usr/bin/script") && "script is missing (apt-get install bsdutils)");

test("login asks on a terminal, and the password is not shown", { skip: skipTerminal }, async () => {
  await using registry = await startRegistry({ htpasswd: true });
  const home = makeHome();
  const answers = { "Username: ": "tester\n", "Password: ": "secret\r" };
  const { code, seen } = await loginOnTerminal(registry.host, home, answers);
  assert.equal(code, 0, seen);
  assert.doesNotMatch(seen, /secret/);
  assert.match(seen, /Login Succeeded/);
  assert.match(readFileSync(home.path, "utf8"), /dGVzdGVyOnNlY3JldA==/);
});

test("Ctrl-C at the password ends login as a signal would", { skip: skipTerminal }, async () => {
  await using registry = await startRegistry({ htpasswd: true });
  const home = makeHome();
  const { code, seen } = await loginOnTerminal(registry.host, home, {
    "Username: ": "tester\n",
    "Password: ": "sec\u0003",
  });
  assert.equal(code, 130, seen);
  assert.doesNotMatch(seen, /sec|Succeeded/);
  assert.ok(!existsSync(home.path));
});
