import type { Command } from "commander";
import { type ImageFile, type ListedFile, listFiles } from "../../index.ts";
import { cleanText } from "../../progress/clean-text.ts";
import type { CommandContext } from "../command-context.ts";
import { formatMode as formatOctalMode } from "../describe-change.ts";
import { formatEntryTime } from "../format-time.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { splitImagePath } from "../split-image-path.ts";
import { withProgress } from "../with-session.ts";
import { writeEach } from "../write-each.ts";

interface LsOptions {
  readonly long?: true;
  readonly recursive?: true;
  readonly format?: string;
}

const TYPE_LETTERS: Readonly<Record<ImageFile["type"], string>> = {
  file: "-",
  directory: "d",
  symlink: "l",
  fifo: "p",
  char: "c",
  block: "b",
  whiteout: "?",
};

export function defineLs(command: Command, context: CommandContext): void {
  command
    .argument("<image>", "IMAGE or IMAGE:/PATH")
    .usage("[OPTIONS] IMAGE[:/PATH]")
    .addOption(makeOption("-l, --long", "modes, owners, sizes and times too"))
    .addOption(makeOption("-R, --recursive", "all below, too"))
    .addOption(makeOption("--format <format>", "table, or json for one object a line"))
    .action(async (text: string, options: LsOptions) => {
      const { image, path } = splitImagePath(text);
      const isJson = parseListFormat(options.format) === "json";
      const isRecursive = options.recursive === true;
      await withProgress(
        context,
        async (session) => {
          const files = listFiles(session, image, { path, isRecursive });
          await writeEach(context.stdout, files, (file) =>
            isJson ? `${JSON.stringify(toJson(file))}\n` : `${describe(file, options)}\n`,
          );
        },
        { verb: "Fetched" },
      );
    });
}

function toJson(file: ImageFile): object {
  const { path, type, uid, gid, sizeBytes, linkTarget, deviceMajor, deviceMinor } = file;
  return {
    path,
    type,
    mode: formatOctalMode(file),
    uid,
    gid,
    ...(type === "file" && { sizeBytes }),
    modified: formatEntryTime(file),
    ...(linkTarget !== undefined && { linkTarget }),
    ...(deviceMajor !== undefined && { deviceMajor, deviceMinor }),
  };
}

function describe(file: ListedFile, { long }: LsOptions): string {
  const name = showName(file.name);
  if (!long) return name;
  const target = file.linkTarget === undefined ? "" : ` -> ${showName(file.linkTarget)}`;
  return `${describeFacts(file)} ${name}${target}`;
}

/** A name with a line end in it would look like two. */
function showName(name: string): string {
  return cleanText(name.replaceAll("\n", "?"));
}

/** As `ls -ln` does. */
function describeFacts(file: ImageFile): string {
  const size =
    file.type === "char" || file.type === "block"
      ? `${file.deviceMajor}, ${file.deviceMinor}`
      : String(file.sizeBytes);
  const time = formatEntryTime({ ...file, mtimeNs: 0 }).replace(/^(.{10})T(.{5}).*$/, "$1 $2");
  const owner = `${String(file.uid).padStart(5)} ${String(file.gid).padStart(5)}`;
  return `${TYPE_LETTERS[file.type]}${formatMode(file.mode)} ${owner} ${size.padStart(10)} ${time}`;
}

/** `rwsr-xr-t` */
function formatMode(mode: number): string {
  const letters = [..."rwxrwxrwx"].map((letter, position) => (mode & (0o400 >> position) ? letter : "-"));
  const special = [
    [0o4000, 2, "s"],
    [0o2000, 5, "s"],
    [0o1000, 8, "t"],
  ] as const;
  for (const [bit, position, letter] of special) {
    if (mode & bit) letters[position] = letters[position] === "x" ? letter : letter.toUpperCase();
  }
  return letters.join("");
}
