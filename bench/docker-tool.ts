import { type RunningDocker, startDocker } from "../test/start-docker.ts";
import type { Command } from "./command.ts";
import type { BuildRequest, Tool } from "./tool.ts";

const CLIENT = "/usr/bin/docker";

/** Debian's docker with its BuildKit, on an engine and data of its own. */
export async function openDocker(): Promise<Tool> {
  let docker: RunningDocker = await startDocker();
  const command = (...args: string[]): Command => ({
    program: CLIENT,
    args: ["--host", docker.socket, ...args],
    env: { DOCKER_BUILDKIT: "1" },
  });
  const build = ({ directory, tag }: BuildRequest, ...args: string[]) =>
    command("build", "--network=none", "--progress=plain", "-t", tag, ...args, directory);
  const push = (reference: string) => command("push", reference);
  const { stdout } = await docker.run(["version", "--format", "{{.Server.Version}}"]);
  return {
    name: "docker",
    version: `docker ${stdout.trim()}`,
    get daemonPid() {
      return docker.pid;
    },
    ownDepth: 0,
    async empty() {
      // `system prune` keeps what it believes to be in use; a new engine has nothing.
      await docker[Symbol.asyncDispose]();
      docker = await startDocker();
    },
    pull: (reference) => command("pull", reference),
    tag: (source, target) => command("tag", source, target),
    build: (request) => build(request),
    push,
    // This version's BuildKit has no exporter that pushes.
    buildAndPush: (request) => [build(request), push(request.tag)],
    exportTree: (request, path) => build(request, "-o", `type=tar,dest=${path}`),
    async readConfig(reference) {
      const result = await docker.run(["image", "inspect", reference]);
      return JSON.parse(result.stdout)[0].Config;
    },
    [Symbol.asyncDispose]: () => docker[Symbol.asyncDispose](),
  };
}
