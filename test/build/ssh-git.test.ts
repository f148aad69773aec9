import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench } from "../build-bench.ts";
import { git } from "../serve-git.ts";

const SSHD = "/usr/sbin/sshd";
const missing =
  (process.getuid?.() !== 0 && "needs root, which sshd starts as") ||
  (!existsSync(SSHD) && "sshd is missing (apt-get install openssh-server)");

describe("a git repository behind a real sshd", { skip: missing }, () => {
  let bench: BuildBench;
  let key: string;
  let repository: string;
  before(async () => {
    bench = await openBuildBench();
    key = makeKey("key");
    repository = join(bench.directory, "repository");
    mkdirSync(repository);
    git(repository, "init", "-q");
    writeFileSync(join(repository, "file"), "over ssh\n");
    git(repository, "add", ".");
    git(repository, "commit", "-qm", "first");
    // sshd does not start without it.
    mkdirSync("/run/sshd", { recursive: true });
  });
  after(() => bench[Symbol.dispose]());

  function makeKey(name: string): string {
    const path = join(bench.directory, name);
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path]);
    return path;
  }

  async function findPort(): Promise<number> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    server.close();
    await once(server, "close");
    return port;
  }

  async function startSshd(hostKey: string, port: number): Promise<AsyncDisposable> {
    const settings = [
      ...["-f", "/dev/null", "-p", String(port), "-h", hostKey],
      ...[
        "ListenAddress=127.0.0.1",
        `AuthorizedKeysFile=${key}.pub`,
        "StrictModes=no",
        "PidFile=none",
      ].flatMap((option) => ["-o", option]),
      ...["PasswordAuthentication=no", "PermitRootLogin=prohibit-password", "UsePAM=no"].flatMap((option) => [
        "-o",
        option,
      ]),
    ];
    const server = spawn(SSHD, ["-D", "-e", ...settings], { stdio: ["ignore", "ignore", "pipe"] });
    const exited = once(server, "exit");
    let log = "";
    for await (const chunk of server.stderr) {
      log += chunk;
      if (log.includes("Server listening")) break;
    }
    assert.match(log, /Server listening/);
    return {
      async [Symbol.asyncDispose]() {
        server.kill();
        await exited;
      },
    };
  }

  const build = (url: string, ...args: readonly string[]) =>
    bench.build(`FROM scratch\nADD ${url} /src\n`, { args: ["--no-cache", "-t", "over-ssh", ...args] });

  it("is fetched with the key that was given, and with no other", async () => {
    const port = await findPort();
    await using _ = await startSshd(makeKey("host"), port);
    const url = `ssh://root@127.0.0.1:${port}${repository}/.git`;
    const stranger = await build(url, "--ssh", `default=${makeKey("stranger")}`);
    assert.equal(stranger.code, 1);
    assert.match(stranger.stderr, /Permission denied/);
    const none = await build(url);
    assert.equal(none.code, 1);
    assert.match(none.stderr, /Permission denied[\s\S]*Hint: .*--ssh/);

    const { code, stderr } = await build(url, "--ssh", `default=${key}`);
    assert.equal(code, 0, stderr);
    assert.equal((await bench.run(["cat", "over-ssh:/src/file"])).stdout, "over ssh\n");
    assert.equal((await bench.run(["ls", "over-ssh:/src"])).stdout, "file\n");
  });

  it("is refused when the host has another key than before", async () => {
    const port = await findPort();
    const url = `ssh://root@127.0.0.1:${port}${repository}/.git`;
    for (const [name, expected] of [
      ["first-host", 0],
      ["other-host", 1],
    ] as const) {
      await using _ = await startSshd(makeKey(name), port);
      const { code, stderr } = await build(url, "--ssh", `default=${key}`);
      assert.equal(code, expected, stderr);
      if (expected === 1) assert.match(stderr, /host key/i);
    }
  });
});
