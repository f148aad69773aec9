import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { slipway, slipwayPath } from "../test/slipway.ts";
import type { Command } from "./command.ts";
import type { BuildRequest, Tool } from "./tool.ts";

/** The checkout's slipway, with its store below `directory`. */
export async function openSlipway(directory: string): Promise<Tool> {
  let root = await mkdtemp(join(directory, "slipway-"));
  const command = (...args: string[]): Command => ({
    program: slipwayPath,
    args,
    env: { SLIPWAY_ROOT: root },
  });
  const build = ({ directory: context, tag }: BuildRequest, ...args: string[]) =>
    command("build", "--network=none", "--progress=plain", "-t", tag, ...args, context);
  const { stdout } = await slipway(["--version"]);
  return {
    name: "slipway",
    version: `slipway ${stdout.trim()}`,
    // The holder's.
    ownDepth: 1,
    async empty() {
      await rm(root, { recursive: true });
      root = await mkdtemp(join(directory, "slipway-"));
    },
    pull: (reference) => command("pull", reference),
    tag: (source, target) => command("tag", source, target),
    build: (request) => build(request),
    push: (reference) => command("push", reference),
    buildAndPush: (request) => [build(request, "--push")],
    exportTree: (request, path) => build(request, "-o", `type=tar,dest=${path}`),
    async readConfig(reference) {
      const result = await slipway(["inspect", reference], { root });
      return JSON.parse(result.stdout)[0].Config;
    },
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}
