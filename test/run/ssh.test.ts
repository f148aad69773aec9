import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { build as buildImage } from "../../src/index.ts";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";

const PROGRAMS = {
  agent: "/usr/bin/ssh-agent",
  add: "/usr/bin/ssh-add",
  keygen: "/usr/bin/ssh-keygen",
} as const;
const sshMissing = runMissing || (!existsSync(PROGRAMS.agent) && "needs openssh-client");

/** The process ids of what this process started. */
function children(): string {
  return readFileSync(`/proc/self/task/${process.pid}/children`, "utf8");
}

describe("RUN --mount=type=ssh", { skip: sshMissing }, () => {
  let bench: BuildBench;
  beforeEach(async () => {
    bench = await openBuildBench();
    await importSshAdd(bench);
  });
  afterEach(() => bench[Symbol.dispose]());

  const build = (dockerfile: string, args: readonly string[], env: Record<string, string | undefined> = {}) =>
    bench.run(["build", "--progress=plain", ...args, bench.context({ Dockerfile: dockerfile })], {
      env: { SSH_AUTH_SOCK: undefined, ...env },
    });

  /** A key of its own; returns the file and the comment that an agent lists it with. */
  function makeKey(name: string, type: string, passphrase = ""): string {
    const path = join(bench.directory, name);
    execFileSync(PROGRAMS.keygen, ["-q", "-t", type, "-N", passphrase, "-C", `key-${name}`, "-f", path]);
    return path;
  }

  async function startAgent(key: string): Promise<{ readonly socket: string } & AsyncDisposable> {
    const socket = join(bench.directory, "agent");
    const agent = spawn(PROGRAMS.agent, ["-D", "-a", socket], { stdio: ["ignore", "pipe", "ignore"] });
    // It prints the socket's name once it listens.
    await once(agent.stdout, "data");
    execFileSync(PROGRAMS.add, ["-q", key], { env: { ...process.env, SSH_AUTH_SOCK: socket } });
    const exited = once(agent, "exit");
    return {
      socket,
      async [Symbol.asyncDispose]() {
        agent.kill();
        await exited;
      },
    };
  }

  it("reaches an agent that runs, by SSH_AUTH_SOCK and by path", async () => {
    await using agent = await startAgent(makeKey("one", "ed25519"));
    const dockerfile = "FROM ssh\nRUN --mount=type=ssh ssh-add -l";
    for (const [args, env] of [
      [["--ssh", "default"], { SSH_AUTH_SOCK: agent.socket }],
      [["--ssh", `default=${agent.socket}`, "--no-cache"], {}],
    ] as const) {
      const { code, stderr } = await build(dockerfile, args, env);
      assert.equal(code, 0, stderr);
      assert.match(stderr, /key-one \(ED25519\)/);
    }
  });

  it("signs with keys of every type, through an agent of its own that ends with the build", async () => {
    const keys = ["ed25519", "rsa", "ecdsa"].map((type) => makeKey(type, type));
    const dockerfile =
      "FROM ssh\nRUN --mount=type=ssh,id=mine,required ssh-add -L > /keys && ssh-add -T /keys && cut -d' ' -f3 /keys";
    const { code, stderr } = await build(dockerfile, ["--ssh", `mine=${keys.join(",")}`]);
    assert.equal(code, 0, stderr);
    for (const name of ["ed25519", "rsa", "ecdsa"]) assert.match(stderr, new RegExp(`key-${name}$`, "m"));
    assert.equal(countProcesses(bench.root), 0);
  });

  it("takes a key that is no file from a program that builds, and the agent for it ends with the build", async () => {
    const key = readFileSync(makeKey("fetched", "ed25519"));
    const directories = () => readdirSync(tmpdir()).filter((name) => name.startsWith("slipway-ssh-"));
    const before = [children(), directories()];
    const request = { root: bench.root, context: { files: {} }, noCache: true };
    const dockerfile = "FROM ssh\nRUN --mount=type=ssh ssh-add -l\n";
    const running = buildImage({ ...request, dockerfile, ssh: { default: async () => key } });
    let output = "";
    for await (const event of running) if (event.kind === "log") output += Buffer.from(event.data).toString();
    await running.result;
    assert.match(output, /key-fetched \(ED25519\)/);
    assert.deepEqual([children(), directories()], before);
    const refused = buildImage({ ...request, dockerfile, ssh: { default: "no key" } });
    await assert.rejects(refused.result, {
      code: "option-invalid",
      message: /^Cannot use the ssh key "default": /,
    });
    assert.deepEqual([children(), directories()], before);
  });

  it("gives the socket the owner and mode that the mount asks for, at its target", async () => {
    await using agent = await startAgent(makeKey("one", "ed25519"));
    const before = statSync(agent.socket);
    const { code, stderr } = await build(
      `FROM ssh
       USER 4711
       RUN --mount=type=ssh,uid=4711,gid=12,mode=0640,target=/some/where/agent stat -c '%F %u %g %a' /some/where/agent && echo $SSH_AUTH_SOCK && ssh-add -l
       RUN --mount=type=ssh ssh-add -l || echo refused`,
      ["--ssh", `default=${agent.socket}`],
    );
    assert.equal(code, 0, stderr);
    assert.match(stderr, /socket 4711 12 640/);
    assert.match(stderr, / \/some\/where\/agent$/m);
    assert.match(stderr, /key-one/);
    assert.match(stderr, /refused$/m);
    const after = statSync(agent.socket);
    assert.deepEqual([after.uid, after.gid, after.mode], [before.uid, before.gid, before.mode]);
  });

  it("leaves nothing in the image", async () => {
    await using agent = await startAgent(makeKey("one", "ed25519"));
    const { code, stderr } = await build(
      'FROM ssh\nRUN --mount=type=ssh ssh-add -l\nRUN [ ! -e /run ] && [ -z "$SSH_AUTH_SOCK" ]',
      ["--ssh", `default=${agent.socket}`],
    );
    assert.equal(code, 0, stderr);
  });

  it("goes on without an agent unless it is required", async () => {
    const optional = await build("FROM ssh\nRUN --mount=type=ssh [ ! -e /run/buildkit/ssh_agent.0 ]", []);
    assert.equal(optional.code, 0, optional.stderr);
    const required = await build("FROM ssh\nRUN --mount=type=ssh,id=x,required true", []);
    assert.equal(required.code, 1);
    assert.match(
      required.stderr,
      /^Error: Cannot mount the ssh agent "x": the build was given no agent with that id$/m,
    );
  });

  it("says that a key has a passphrase, that there is no agent, that there is no file", async () => {
    const key = makeKey("locked", "ed25519", "passphrase");
    const locked = await build("FROM ssh\nRUN --mount=type=ssh,required true", ["--ssh", `default=${key}`]);
    assert.equal(locked.code, 1);
    assert.match(locked.stderr, /^Error: Cannot start the command: ssh-add does not take the key/m);
    const none = await build("FROM ssh", ["--ssh", "default"]);
    assert.match(none.stderr, /^Error: Cannot use "default" for --ssh: SSH_AUTH_SOCK is not set$/m);
    const missing = await build("FROM ssh", ["--ssh", "default=/no/such"]);
    assert.match(missing.stderr, /^Error: Cannot use "default=\/no\/such" for --ssh: there is no file/m);
  });

  it("does not run again because the agent is another", async () => {
    const dockerfile = "FROM ssh\nRUN --mount=type=ssh,required ssh-add -l";
    const first = await build(dockerfile, ["--ssh", `default=${makeKey("one", "ed25519")}`]);
    assert.equal(first.code, 0, first.stderr);
    const second = await build(dockerfile, ["--ssh", `default=${makeKey("two", "ed25519")}`]);
    assert.match(second.stderr, /CACHED/);
  });
});

/** busybox and ssh-add with its libraries. */
async function importSshAdd({ directory, run }: BuildBench): Promise<void> {
  const root = join(directory, "busybox");
  const libraries = execFileSync("ldd", [PROGRAMS.add], { encoding: "utf8" }).match(/\/\S+/g) ?? [];
  for (const path of [PROGRAMS.add, ...libraries]) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    copyFileSync(path, join(root, path));
  }
  const tar = join(directory, "ssh.tar");
  execFileSync("tar", ["--numeric-owner", "--owner=0", "--group=0", "-C", root, "-cf", tar, "."]);
  const { code, stderr } = await run(["import", "--change", "ENV PATH=/usr/bin:/bin", tar, "ssh"]);
  assert.equal(code, 0, stderr);
}

function countProcesses(text: string): number {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text);
    } catch {
      return false;
    }
  }).length;
}
