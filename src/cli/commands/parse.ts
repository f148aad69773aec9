import { readFile, stat } from "node:fs/promises";
import type { Command } from "commander";
import { formatSyntaxTree } from "../../dockerfile/format-syntax-tree.ts";
import { parseDockerfile } from "../../dockerfile/parse-dockerfile.ts";
import { BuildError } from "../../errors/build-error.ts";
import { DEFAULT_LIMITS, makeLimitError } from "../../errors/input-limits.ts";
import { hintNearest } from "../../errors/suggest-nearest.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { readDockerfileInput } from "../read-standard-input.ts";

const FORMATS = ["sexpr", "json"];

export function defineParse(command: Command, context: CommandContext): void {
  command
    .usage("[OPTIONS] FILE | -")
    .argument("<file>", "the Dockerfile; - reads it from stdin")
    .addOption(makeOption("--format <format>", "sexpr (a line for each instruction), or json, with places"))
    .action((file: string, { format = "sexpr" }: { readonly format?: string }) =>
      runParse(file, format, context),
    );
}

async function runParse(file: string, format: string, context: CommandContext): Promise<void> {
  if (!FORMATS.includes(format)) {
    throw new BuildError(
      "option-invalid",
      `Cannot use the format "${format}": it is neither sexpr nor json`,
      {
        hint: hintNearest(format, FORMATS),
      },
    );
  }
  const bytes = file === "-" ? await readInput(context) : await readDockerfile(file, context);
  context.sources.set(
    file,
    Buffer.from(bytes)
      .toString("utf8")
      .replace(/^\uFEFF/, ""),
  );
  const tree = parseDockerfile(bytes, { file });
  const text = format === "json" ? `${JSON.stringify(tree, undefined, 2)}\n` : formatSyntaxTree(tree);
  context.stdout.write(text);
}

function readInput({ stdin, signal, settings }: CommandContext): Promise<Uint8Array> {
  return readDockerfileInput(stdin, { limits: settings().limits, signal });
}

async function readDockerfile(file: string, { settings }: CommandContext): Promise<Uint8Array> {
  try {
    const { size } = await stat(file);
    const { limits = DEFAULT_LIMITS } = settings();
    if (size > limits["dockerfile-size"]) {
      throw makeLimitError("dockerfile-size", `Cannot read "${file}": it is larger`, limits);
    }
    return await readFile(file);
  } catch (error) {
    if (error instanceof BuildError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const reason =
      code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a directory" : message;
    throw new BuildError("context", `Cannot read "${file}": ${reason}`, { cause: error });
  }
}
