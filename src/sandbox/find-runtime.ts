import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import type { RuntimeProgram } from "./holder-protocol.ts";

const RUNTIMES = ["crun", "runc"] as const;

/** Debian keeps runc in /usr/sbin, which an ordinary PATH lacks. */
const FURTHER_DIRECTORIES = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/sbin", "/bin"];

export interface RuntimeWish {
  /** `SLIPWAY_RUNTIME`: the name of the one to use. */
  readonly name?: string;
  /** For a command on the user's terminal. */
  readonly isAttached?: boolean;
}

/**
 * The OCI runtime that runs commands: crun (twice as fast to start), else runc. On a terminal it is the other way round: crun
 * (1.8) can lose the last output of a command that ends quickly.
 *
 * @throws BuildError `environment` when the machine has none.
 */
export function findRuntime(
  pathVariable: string,
  { name: wanted, isAttached }: RuntimeWish = {},
): RuntimeProgram {
  const order = isAttached ? RUNTIMES.toReversed() : RUNTIMES;
  const known = order.filter((name) => !wanted || name === wanted);
  if (known.length === 0) {
    throw new BuildError(
      "environment",
      `Cannot run commands with "${wanted}": it is no OCI runtime that slipway knows`,
      {
        hint: `SLIPWAY_RUNTIME is ${RUNTIMES.join(" or ")}`,
      },
    );
  }
  for (const name of known) {
    const path = findProgram(name, pathVariable);
    if (path !== undefined) return { name, path };
  }
  throw new BuildError("environment", "Cannot run commands: there is no OCI runtime on this machine", {
    hint: `Install one: apt-get install ${wanted || RUNTIMES[0]}`,
  });
}

/** The path of a program: from PATH, else from where distributions put it. */
export function findProgram(name: string, pathVariable: string): string | undefined {
  const directories = [...pathVariable.split(":").filter((path) => path !== ""), ...FURTHER_DIRECTORIES];
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
