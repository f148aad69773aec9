import { BuildError } from "../errors/build-error.ts";
import type { ResolvedImage } from "../image/image-access.ts";
import type { ContainerOptions } from "../sandbox/run-container.ts";
import { parseVariables } from "./parse-values.ts";

/** The options of `run`. */
export interface RunFlags {
  readonly env: readonly string[];
  readonly workdir?: string;
  readonly user?: string;
  readonly entrypoint?: string;
  readonly network?: string;
  readonly interactive?: true;
  readonly tty?: true;
  readonly platform?: string;
  readonly pull?: "missing" | "always" | "never";
}

const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * What runs, of the image's config and the command line: ENTRYPOINT and CMD, where arguments stand for CMD, and a new entrypoint
 * drops the image's CMD.
 *
 * @throws BuildError `option-invalid` when neither says what to run.
 */
export function containerCommand(
  { name, config: { config = {} } }: Pick<ResolvedImage, "name" | "config">,
  { args, flags }: { readonly args: readonly string[]; readonly flags: RunFlags },
  env: NodeJS.ProcessEnv,
): Pick<ContainerOptions, "args" | "env" | "workingDirectory" | "user"> {
  const entrypoint =
    flags.entrypoint === undefined
      ? (config.Entrypoint ?? [])
      : flags.entrypoint === ""
        ? []
        : [flags.entrypoint];
  const command = args.length > 0 || flags.entrypoint !== undefined ? args : (config.Cmd ?? []);
  if (entrypoint.length + command.length === 0) {
    throw new BuildError(
      "option-invalid",
      `Cannot run "${name}": neither the image nor you say which command`,
      {
        hint: "Write it after the image's name",
      },
    );
  }
  const given = Object.entries(parseVariables(flags.env, "--env", env)).map(
    ([key, value]) => `${key}=${value}`,
  );
  const variables = [...(flags.tty ? ["TERM=xterm"] : []), ...(config.Env ?? []), ...given];
  return {
    args: [...entrypoint, ...command],
    env: lastOfEach([DEFAULT_PATH, ...variables]),
    workingDirectory: flags.workdir || config.WorkingDir || "/",
    user: flags.user ?? config.User ?? "",
  };
}

/** Two values of a variable would leave it to the C library which one counts. */
function lastOfEach(variables: readonly string[]): string[] {
  return [...new Map(variables.map((variable) => [variable.split("=", 1)[0], variable])).values()];
}
