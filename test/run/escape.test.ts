import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { makePerlRootfs, perlMissing } from "../make-perl-rootfs.ts";
import { dockerMissing, startDocker } from "../start-docker.ts";

const ATTEMPTS = "escape-attempts.pl";

/** Node listens on abstract sockets when the name begins with NUL. */
const ABSTRACT_SOCKET = `slipway-escape-${process.pid}`;

/** What a command may do after all: docker allows it. */
const ALLOWED = [/^mknod /, /^open \/(tmp|dev)\/zero$/];

describe("a RUN that tries to escape", { skip: runMissing || perlMissing }, () => {
  let bench: BuildBench;
  let tar: string;
  let hostPath: string;
  const directory = mkdtempSync(join(tmpdir(), "slipway-escape-"));
  const [tcp, abstract] = [createServer(), createServer()];

  before(async () => {
    bench = await openBuildBench();
    hostPath = join(bench.root, "db.sqlite");
    tcp.listen(0, "127.0.0.1");
    abstract.listen(`\0${ABSTRACT_SOCKET}`);
    await Promise.all([once(tcp, "listening"), once(abstract, "listening")]);
    tar = makePerlRootfs(directory, { [ATTEMPTS]: join(import.meta.dirname, "../fixtures", ATTEMPTS) });
    assert.equal((await bench.run(["import", tar, "escape"])).code, 0);
  });
  after(() => {
    for (const server of [tcp, abstract]) server.close();
    bench[Symbol.dispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  const attemptArguments = (): string[] => {
    const { port } = tcp.address() as AddressInfo;
    return [String(process.pid), hostPath, String(port), ABSTRACT_SOCKET];
  };

  /** `before` is a RUN before it, with crun the one whose seccomp profile is compiled and kept. */
  async function tryInBuild(
    flags: string,
    args: readonly string[] = [],
    before = "",
  ): Promise<Map<string, string>> {
    const command = JSON.stringify(["/usr/bin/perl", `/${ATTEMPTS}`, ...attemptArguments()]);
    const { code, stderr } = await bench.build(`FROM escape\n${before}\nRUN ${flags} ${command}`, {
      args: ["--no-cache", ...args],
    });
    assert.equal(code, 0, stderr);
    return parseOutcomes(stderr.replaceAll(/^#\d+ [\d.]+ /gm, ""));
  }

  it("gets no further than in docker, attempt by attempt", { skip: dockerMissing }, async () => {
    const inBuild = await tryInBuild("--network=none");
    const later = await tryInBuild("--network=none", [], 'RUN ["/usr/bin/perl", "-e", "1"]');
    assert.deepEqual([...later], [...inBuild]);
    await using docker = await startDocker();
    await docker.run(["import", tar, "escape"]);
    const { stdout } = await docker.run([
      ...["run", "--rm", "--network=none", "escape", "/usr/bin/perl", `/${ATTEMPTS}`],
      ...attemptArguments(),
    ]);
    const inDocker = parseOutcomes(stdout);
    assert.ok(inDocker.size > 70, stdout);
    assert.deepEqual([...inBuild], [...inDocker]);
  });

  it("is refused all that matters", async () => {
    const outcomes = await tryInBuild("--network=none");
    assert.ok(outcomes.size > 70);
    const succeeded = [...outcomes]
      .filter(
        ([name, outcome]) => /^(ok|read|listed)$/.test(outcome) && !ALLOWED.some((one) => one.test(name)),
      )
      .map(([name]) => name);
    assert.deepEqual(succeeded, []);
  });

  it("reaches neither the host's loopback nor its abstract sockets with a network of its own", async (t) => {
    const { stderr } = await bench.build("FROM escape\nRUN true");
    if (stderr.includes("pasta is not installed")) return t.skip("needs passt and /dev/net/tun");
    const outcomes = await tryInBuild("--network=default");
    assert.equal(outcomes.get("loopback of the host"), "ECONNREFUSED");
    assert.equal(outcomes.get("abstract socket of the host"), "ECONNREFUSED");
  });

  it("gets out with --security=insecure: the attempts can tell", async () => {
    const outcomes = await tryInBuild("--security=insecure --network=none", ["--allow", "security.insecure"]);
    assert.equal(outcomes.get("mount tmpfs"), "ok");
    assert.equal(outcomes.get("unshare user"), "ok");
    assert.notEqual(outcomes.get("open /dev/kmsg"), "EPERM");
  });
});

/** Without knowing a system call, a container refuses it in one of two ways. */
function parseOutcomes(text: string): Map<string, string> {
  const lines = text.split("\n").filter((line) => line.includes("\t"));
  return new Map(
    lines.map((line) => {
      const [name = "", outcome = ""] = line.split("\t");
      return [name, outcome === "ENOSYS" && name !== "clone3" ? "EPERM" : outcome];
    }),
  );
}
