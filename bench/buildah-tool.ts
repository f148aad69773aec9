import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "./command.ts";
import type { BuildRequest, Tool } from "./tool.ts";

const PROGRAM = "/usr/bin/buildah";
/** crun 1.8 refuses machines that have both versions of cgroups, and buildah has no way around it. */
const RUNTIME = "/usr/sbin/runc";

/** Debian's buildah with overlay storage below `directory`. */
export async function openBuildah(directory: string): Promise<Tool> {
  let work = await mkdtemp(join(directory, "buildah-"));
  const args = (...rest: string[]) => [
    ...["--root", join(work, "root"), "--runroot", join(work, "run"), "--storage-driver=overlay"],
    ...rest,
  ];
  const command = (...rest: string[]): Command => ({ program: PROGRAM, args: args(...rest) });
  const run = (...rest: string[]) =>
    execFileSync(PROGRAM, args(...rest), { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const build = ({ directory: context, tag }: BuildRequest) => {
    const how = ["--layers", "--network=none", "--jobs=0", "--isolation=oci", "--runtime", RUNTIME];
    return command("build", ...how, "--tls-verify=false", "-t", tag, context);
  };
  const push = (reference: string) => command("push", "--tls-verify=false", reference);
  const forget = async () => {
    run("rmi", "--all", "--force");
    await rm(work, { recursive: true, force: true });
  };
  return {
    name: "buildah",
    version: `buildah ${/version (\S+)/.exec(run("--version"))?.[1]}`,
    ownDepth: 0,
    async empty() {
      await forget();
      work = await mkdtemp(join(directory, "buildah-"));
    },
    tag: (source, target) => command("tag", source, target),
    pull: (reference) => command("pull", "--tls-verify=false", reference),
    build,
    push,
    buildAndPush: (request) => [build(request), push(request.tag)],
    async readConfig(reference) {
      return JSON.parse(run("inspect", "--type=image", reference)).OCIv1.config;
    },
    [Symbol.asyncDispose]: forget,
  };
}
