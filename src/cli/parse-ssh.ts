import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import type { BuildOptions } from "../index.ts";

type SshAgent = NonNullable<BuildOptions["ssh"]> extends ReadonlyMap<string, infer Agent> ? Agent : never;

/**
 * Reads a value of `--ssh`: `default`, `ID=SOCKET`, `ID=KEY[,KEY...]`. Without a path it is the agent of SSH_AUTH_SOCK.
 *
 * @throws BuildError `option-invalid`.
 */
export function parseSsh(text: string, env: NodeJS.ProcessEnv): readonly [id: string, agent: SshAgent] {
  const refuse = (reason: string, hint?: string) =>
    new BuildError("option-invalid", `Cannot use "${text}" for --ssh: ${reason}`, { hint });
  const [id = "", given = ""] = text.split(/=(.*)/s);
  if (id === "") throw refuse("it has no id", "Write --ssh default or --ssh ID=SOCKET");
  const paths = (given || env.SSH_AUTH_SOCK || "").split(",").filter((path) => path !== "");
  if (paths.length === 0)
    throw refuse("SSH_AUTH_SOCK is not set", "Start an ssh-agent, or name a socket or key: --ssh ID=PATH");
  const missing = paths.find((path) => !existsSync(path));
  if (missing !== undefined) throw refuse(`there is no file "${missing}"`);
  const sockets = paths.filter((path) => statSync(path).isSocket());
  if (sockets.length === 0) return [id, { kind: "keys", paths: paths.map((path) => resolve(path)) }];
  if (paths.length > 1) throw refuse("an agent's socket stands alone");
  return [id, { kind: "socket", path: resolve(paths[0]!) }];
}
