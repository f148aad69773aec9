import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { runCommand, slipwayPath } from "../slipway.ts";
import { startResolver } from "./start-resolver.ts";

const SERVER = `
  import { createServer } from "node:http";
  import { startResolver } from ${JSON.stringify(import.meta.resolve("./start-resolver.ts"))};
  await startResolver("0.0.0.0", [198, 51, 100, 7]);
  createServer((_, response) => response.end("from another machine\\n"))
    .listen(8000, "0.0.0.0", () => console.log("listening"));
`;

const missing =
  runMissing ||
  (!existsSync("/usr/sbin/ip") && "needs ip (apt-get install iproute2)") ||
  (!existsSync("/usr/bin/pasta") && "needs pasta (apt-get install passt)");

/** Another machine, as far as the network goes: a namespace of its own behind a cable, with a server on port 8000 and a resolver. */
async function startNeighbour(): Promise<AsyncDisposable & { readonly address: string }> {
  const name = `sw${process.pid}`;
  // TEST-NET-2 (RFC 5737): nobody has these.
  const [ours, address] = ["198.51.100.1", "198.51.100.2"];
  const ip = async (...args: string[]) => {
    const { code, stderr } = await runCommand("/usr/sbin/ip", args);
    assert.equal(code, 0, stderr);
  };
  await ip("netns", "add", name);
  await ip("link", "add", `${name}a`, "type", "veth", "peer", "name", `${name}b`, "netns", name);
  await ip("addr", "add", `${ours}/30`, "dev", `${name}a`);
  await ip("link", "set", `${name}a`, "up");
  await ip("-n", name, "addr", "add", `${address}/30`, "dev", `${name}b`);
  await ip("-n", name, "link", "set", `${name}b`, "up");
  const server = spawn("/usr/sbin/ip", [
    ...["netns", "exec", name, process.execPath, "--input-type=module", "-e", SERVER],
  ]);
  await once(server.stdout, "data");
  return {
    address,
    async [Symbol.asyncDispose]() {
      server.kill("SIGKILL");
      await once(server, "close");
      // The cable goes with its end.
      await ip("netns", "del", name);
    },
  };
}

describe("a step on the default network", { skip: missing }, () => {
  let bench: BuildBench;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());

  it("reaches other machines; with --network=none it does not", async () => {
    await using neighbour = await startNeighbour();
    // The request's end stays open: Debian 12's pasta sends the answer to a half-closed connection again and again.
    const request = "(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 1)";
    const ask = `${request} | timeout 8 nc ${neighbour.address} 8000`;
    const reached = await bench.build(`FROM busybox\nRUN ${ask}\n`, { args: ["--no-cache"] });
    assert.equal(reached.code, 0, reached.stderr);
    assert.match(reached.stderr, /from another machine/);
    const alone = await bench.build(`FROM busybox\nRUN --network=none ${ask}\n`, { args: ["--no-cache"] });
    assert.equal(alone.code, 1);
    assert.match(alone.stderr, /Network is unreachable/i);
  });

  async function buildWith(resolvConf: string, dockerfile: string) {
    const settings = join(bench.directory, "resolv.conf");
    writeFileSync(settings, resolvConf);
    const context = bench.context({ Dockerfile: dockerfile });
    const build = `mount --bind ${settings} /etc/resolv.conf && exec ${slipwayPath} --root ${bench.root} build --progress=plain ${context}`;
    const { code, stderr } = await runCommand("unshare", ["--mount", "sh", "-c", build]);
    assert.equal(code, 0, stderr);
    return stderr;
  }

  it("finds names through a resolver on this machine's loopback, which it cannot reach itself", async () => {
    const loopback = `127.${process.pid & 255}.${(process.pid >> 8) & 255}.77`;
    await using _resolver = await startResolver(loopback, [198, 51, 100, 7]);
    const output = await buildWith(
      `nameserver ${loopback}\nsearch example.test\n`,
      `FROM busybox\nRUN cat /etc/resolv.conf; nslookup any.example; ! nc -w 1 ${loopback} 53\n`,
    );
    assert.match(output, /Address: 198\.51\.100\.7$/m);
    assert.match(output, / search example\.test$/m);
    assert.doesNotMatch(output, new RegExp(` nameserver ${loopback}$`, "m"));
  });

  // The C library takes an answer only from whom it asked.
  it("finds names through a resolver of another machine, whose answers come from there", async () => {
    await using neighbour = await startNeighbour();
    const command = "ping -c 1 -W 1 any.example || true";
    const output = await buildWith(`nameserver ${neighbour.address}\n`, `FROM busybox\nRUN ${command}\n`);
    assert.match(output, /PING any\.example \(198\.51\.100\.7\)/);
  });

  it("has its loopback on a machine without a way out, and says so when the command fails", async () => {
    const commands = ["ip -o link | sed 's/^/link /'; ping -c 1 127.0.0.1", "nc -w 1 198.51.100.2 8000"];
    const context = bench.context({
      Dockerfile: ["FROM busybox", ...commands.map((command) => `RUN ${command}`)].join("\n"),
    });
    // An empty network namespace has no route.
    const { code, stderr } = await runCommand("unshare", [
      ...["--net", slipwayPath, "--root", bench.root, "build", "--progress=plain", context],
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /1 packets received/);
    assert.deepEqual(
      [...stderr.matchAll(/link \d+: (\w+)/g)].map(([, name]) => name),
      ["lo"],
    );
    assert.match(stderr, /^Hint: This machine has no default route/m);
  });
});

describe("steps without a network", { skip: missing }, () => {
  const build = async (lines: readonly string[], args: readonly string[] = []) => {
    using bench = await openBuildBench();
    const { code, stderr } = await bench.build(`FROM busybox\n${lines.join("\n")}`, { args: [...args] });
    assert.equal(code, 0, stderr);
    return stderr;
  };
  const SHOW =
    "RUN --network=none cat /proc/net/dev | sed 1,2d; ifconfig lo; echo in $(readlink /proc/self/ns/net)";
  const namespacesIn = (stderr: string) =>
    [...stderr.matchAll(/ in (net:\[\d+\])$/gm)].map(([, name]) => name!);

  it("have a loopback that works and nothing else, the later ones the same", async () => {
    const stderr = await build(Array.from({ length: 4 }, (_, number) => `${SHOW} # ${number}`));
    assert.deepEqual(
      [...stderr.matchAll(/^#\d+ [\d.]+ +(\w+): +\d/gm)].map(([, name]) => name),
      ["lo", "lo", "lo", "lo"],
    );
    assert.equal(stderr.match(/inet addr:127\.0\.0\.1 /g)?.length, 4);
    assert.equal(stderr.match(/UP LOOPBACK RUNNING/g)?.length, 4);
    const [first, second, ...rest] = namespacesIn(stderr);
    assert.notEqual(first, second);
    assert.deepEqual(rest, [second, second]);
  });

  it("side by side have each their own", async () => {
    const stages = [1, 2, 3, 4].map((number) => `FROM busybox AS s${number}\n${SHOW}; sleep 1 # ${number}`);
    const stderr = await build([
      ...stages,
      "FROM busybox",
      ...[1, 2, 3, 4].map((n) => `COPY --from=s${n} /bin/sh /sh${n}`),
    ]);
    assert.equal(new Set(namespacesIn(stderr)).size, 4);
  });

  it("see nothing of an earlier one's connections", async () => {
    const talk =
      "(echo hello | nc -l -p 8000 &) ; sleep 0.2; nc 127.0.0.1 8000 </dev/null; cat /proc/net/tcp*";
    const look = "echo left $(grep -c : /proc/net/tcp /proc/net/tcp6)";
    const stderr = await build([
      SHOW,
      ...[talk, look, look].map((what, at) => `RUN --network=none ${what} # ${at}`),
    ]);
    assert.match(stderr, / hello$/m);
    // TIME_WAIT, or the next line would prove nothing.
    assert.match(stderr, /0100007F:\w{4} \w*0100007F:\w{4} 06 /);
    assert.equal(stderr.match(/ left \/proc\/net\/tcp:0 \/proc\/net\/tcp6:0$/gm)?.length, 2);
  });

  it("see nothing of what an insecure one did to its network", async () => {
    const insecure = "RUN --security=insecure --network=none ifconfig lo 127.9.9.9 && ifconfig lo";
    const stderr = await build([SHOW, `${SHOW} # 2`, insecure, `${SHOW} # 3`], ["--allow=security.insecure"]);
    assert.equal(stderr.match(/inet addr:127\.9\.9\.9 /g)?.length, 1);
    assert.equal(stderr.match(/inet addr:127\.0\.0\.1 /g)?.length, 3);
  });
});
