import type { Command } from "commander";
import { cleanText } from "../../progress/clean-text.ts";
import type { Entry, EntryType } from "../../rootfs/entry.ts";
import { baseName, pathBelow, pathToText, textFromBytes } from "../../rootfs/rootfs-path.ts";
import type { TreeEntry, UnionTree } from "../../rootfs/union-tree.ts";
import type { CommandContext } from "../command-context.ts";
import { formatMode as formatOctalMode } from "../describe-change.ts";
import { findImage } from "../find-image.ts";
import { formatEntryTime } from "../format-time.ts";
import { makeOption } from "../make-option.ts";
import { findPath, openImageTree, splitImagePath } from "../open-image-tree.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { withProgress } from "../with-session.ts";
import { writeTo } from "../write-to.ts";

interface LsOptions {
  readonly long?: true;
  readonly recursive?: true;
  readonly format?: string;
}

const TYPE_LETTERS: Readonly<Record<EntryType, string>> = {
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
      const { image, path = "/" } = splitImagePath(text);
      await withProgress(
        context,
        async ({ access }) => {
          using tree = await openImageTree(access, findImage(access, image), image);
          await list(tree, { path, name: image, options }, context);
        },
        { verb: "Fetched" },
      );
    });
}

async function list(
  tree: UnionTree,
  { path, name, options }: { readonly path: string; readonly name: string; readonly options: LsOptions },
  { stdout }: CommandContext,
): Promise<void> {
  const found = findPath(tree, path, { name, followLast: true });
  const isJson = parseListFormat(options.format) === "json";
  const isDirectory = found.entry.entry.type === "directory";
  const entries = !isDirectory
    ? [found.entry]
    : options.recursive
      ? tree.walk(found.path)
      : tree.list(found.path);
  for (const { entry } of entries as Iterable<TreeEntry>) {
    if (isDirectory && entry.path === found.path) continue;
    if (isJson) {
      await writeTo(stdout, `${JSON.stringify(toJson(entry))}\n`);
      continue;
    }
    const shown = options.recursive && isDirectory ? pathBelow(entry.path, found.path) : baseName(entry.path);
    // A name with a line end in it would look like two.
    const line = cleanText(textFromBytes(shown).replaceAll("\n", "?"));
    await writeTo(
      stdout,
      `${options.long ? `${describeEntry(entry)} ` : ""}${line}${options.long ? target(entry) : ""}\n`,
    );
  }
}

function toJson(entry: Entry): object {
  const { path, type, uid, gid, linkTarget, deviceMajor, deviceMinor } = entry;
  return {
    path: pathToText(path),
    type,
    mode: formatOctalMode(entry),
    uid,
    gid,
    ...(type === "file" && { sizeBytes: entry.size }),
    modified: formatEntryTime(entry),
    ...(linkTarget !== undefined && { linkTarget: textFromBytes(linkTarget) }),
    ...(deviceMajor !== undefined && { deviceMajor, deviceMinor }),
  };
}

/** As `ls -ln` does. */
function describeEntry(entry: Entry): string {
  const size =
    entry.type === "char" || entry.type === "block"
      ? `${entry.deviceMajor}, ${entry.deviceMinor}`
      : String(entry.size);
  const time = formatEntryTime({ ...entry, mtimeNs: 0 }).replace(/^(.{10})T(.{5}).*$/, "$1 $2");
  const owner = `${String(entry.uid).padStart(5)} ${String(entry.gid).padStart(5)}`;
  return `${TYPE_LETTERS[entry.type]}${formatMode(entry.mode)} ${owner} ${size.padStart(10)} ${time}`;
}

function target(entry: Entry): string {
  return entry.linkTarget === undefined ? "" : ` -> ${cleanText(textFromBytes(entry.linkTarget))}`;
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
