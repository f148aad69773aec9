import { readFile } from "node:fs/promises";
import { BuildError } from "../errors/build-error.ts";
import { explainSystemError } from "../errors/explain-system-error.ts";
import { parseVariables } from "./parse-values.ts";

/**
 * Build arguments in files, as buildah has them: a line is what `--build-arg` takes; empty ones and those that begin with `#` say
 * nothing. Later lines and files win.
 *
 * @throws BuildError `option-invalid`.
 */
export async function readArgFiles(
  paths: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<Readonly<Record<string, string>>> {
  const files = await Promise.all(paths.map((path) => readArgFile(path, env)));
  return Object.assign({}, ...files);
}

async function readArgFile(path: string, env: NodeJS.ProcessEnv): Promise<Readonly<Record<string, string>>> {
  const text = await readFile(path, "utf8").catch((error) => {
    throw new BuildError(
      "option-invalid",
      `Cannot read "${path}" for --build-arg-file: ${explainSystemError(error)}`,
      { cause: error },
    );
  });
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "" && !line.startsWith("#"));
  return parseVariables(lines, `--build-arg-file ${path}`, env);
}
