import { BuildError } from "../errors/build-error.ts";
import type { ResolvedImage } from "../image/image-access.ts";
import type { ContainerOptions } from "../sandbox/run-container.ts";

/** What runs in place of what the image's config says. */
export interface CommandOptions {
  /** In place of CMD. */
  readonly args?: readonly string[];
  /** In place of ENTRYPOINT; the image's CMD does not count then. "" for none. */
  readonly entrypoint?: string;
  /** Added to the image's variables. */
  readonly env?: Readonly<Record<string, string>>;
  readonly workingDirectory?: string;
  /** `NAME|UID[:GROUP|GID]` */
  readonly user?: string;
  /** The command has the terminal of this process. */
  readonly hasTerminal?: boolean;
}

const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * What runs, of the image's config and the options: ENTRYPOINT and CMD.
 *
 * @throws BuildError `option-invalid` when neither says what to run.
 */
export function containerCommand(
  { name, config: { config = {} } }: Pick<ResolvedImage, "name" | "config">,
  { args = [], entrypoint, env = {}, workingDirectory, user, hasTerminal }: CommandOptions,
): Pick<ContainerOptions, "args" | "env" | "workingDirectory" | "user"> {
  const program =
    entrypoint === undefined ? (config.Entrypoint ?? []) : entrypoint === "" ? [] : [entrypoint];
  const command = args.length > 0 || entrypoint !== undefined ? args : (config.Cmd ?? []);
  if (program.length + command.length === 0) {
    throw new BuildError(
      "option-invalid",
      `Cannot run "${name}": neither the image nor you say which command`,
      {
        hint: "Write it after the image's name",
      },
    );
  }
  const given = Object.entries(env).map(([key, value]) => `${key}=${value}`);
  const variables = [...(hasTerminal ? ["TERM=xterm"] : []), ...(config.Env ?? []), ...given];
  return {
    args: [...program, ...command],
    env: lastOfEach([DEFAULT_PATH, ...variables]),
    workingDirectory: workingDirectory || config.WorkingDir || "/",
    user: user ?? config.User ?? "",
  };
}

/** Two values of a variable would leave it to the C library which one counts. */
function lastOfEach(variables: readonly string[]): string[] {
  return [...new Map(variables.map((variable) => [variable.split("=", 1)[0], variable])).values()];
}
