import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { type ImageMeasure, measureImage } from "../../index.ts";
import { formatSize } from "../../progress/format-size.ts";
import { cleanLine } from "../clean-line.ts";
import type { CommandContext } from "../command-context.ts";
import { formatTable } from "../format-table.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { shortenInstruction } from "../shorten-instruction.ts";
import { withProgress } from "../with-session.ts";

interface SizeOptions {
  readonly format?: string;
  readonly platform?: string;
  readonly top?: string;
}

export function defineSize(command: Command, context: CommandContext): void {
  command
    .argument("<image>", "a name or an id")
    .usage("[OPTIONS] IMAGE")
    .addOption(makeOption("--format <format>", "table or json"))
    .addOption(makeOption("--platform <platform>", "which one of an image for several"))
    .addOption(makeOption("--top <n>", "how many directories and hidden files to name (default: 10)"))
    .action(async (name: string, options: SizeOptions) => {
      const isJson = parseListFormat(options.format) === "json";
      const { platform } = options;
      const top = options.top === undefined ? undefined : parseTop(options.top);
      const measure = await withProgress(
        context,
        (session) => measureImage(session, name, { top, platform }),
        { verb: "Fetched" },
      );
      context.stdout.write(isJson ? `${JSON.stringify(measure)}\n` : describe(measure));
    });
}

function parseTop(text: string): number {
  if (/^[0-9]{1,6}$/.test(text)) return Number(text);
  throw new BuildError("option-invalid", `Cannot use "${text}" for --top: it is not a number up to 999999`);
}

function describe(measure: ImageMeasure): string {
  const { sizeBytes, hiddenBytes, layers, directories, hidden, leftBehind = [] } = measure;
  const parts = [
    `${formatSize(sizeBytes)} in ${layers.length} ${layers.length === 1 ? "layer" : "layers"}, ` +
      `${hiddenBytes === 0 ? "nothing" : formatSize(hiddenBytes)} of it overwritten or deleted by later ones\n`,
    formatTable([
      ["LAYER", "SIZE", "FILES", "COMPRESSED", "HIDDEN", "CREATED BY"],
      ...layers.map((layer) => [
        String(layer.layer),
        formatSize(layer.sizeBytes),
        String(layer.fileCount),
        layer.compressedBytes === undefined ? "-" : formatSize(layer.compressedBytes),
        layer.hiddenBytes === 0 ? "-" : formatSize(layer.hiddenBytes),
        shortenInstruction(layer.createdBy),
      ]),
    ]),
  ];
  if (directories.length > 0) {
    parts.push(
      formatTable([
        ["DIRECTORY", "SIZE", "FILES"],
        ...directories.map(({ path, sizeBytes, fileCount }) => [
          cleanLine(path),
          formatSize(sizeBytes),
          String(fileCount),
        ]),
      ]),
    );
  }
  if (hidden.length > 0) {
    parts.push(
      formatTable([
        ["HIDDEN FILE", "SIZE", "LAYER", "BECAUSE"],
        ...hidden.map(({ path, sizeBytes, layer, hiddenBy, how }) => [
          cleanLine(path),
          formatSize(sizeBytes),
          String(layer),
          `${how} by ${hiddenBy}`,
        ]),
      ]),
    );
  }
  if (leftBehind.length > 0) {
    parts.push(
      formatTable([
        ["LEFT BEHIND IN", "SIZE", "FILES", "STEPS"],
        ...leftBehind.map(({ stage, sizeBytes, fileCount, stepCount }) => [
          cleanLine(stage),
          formatSize(sizeBytes),
          String(fileCount),
          String(stepCount),
        ]),
      ]),
    );
  }
  return parts.join("\n");
}
