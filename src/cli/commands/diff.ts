import type { Command } from "commander";
import type { ImageAccess } from "../../image/image-access.ts";
import { listLayerInstructions, shortenInstruction } from "../../image/layer-instructions.ts";
import { openStoredImage } from "../../image/resolve-image.ts";
import { formatSize } from "../../progress/format-size.ts";
import { compareTrees, type TreeChange } from "../../rootfs/compare-trees.ts";
import type { Entry } from "../../rootfs/entry.ts";
import { pathToText, textFromBytes } from "../../rootfs/rootfs-path.ts";
import { openUnionTree, type UnionTree } from "../../rootfs/union-tree.ts";
import { cleanLine } from "../clean-line.ts";
import type { CommandContext } from "../command-context.ts";
import { describeAspects, formatMode } from "../describe-change.ts";
import { choosePlatform, findImage } from "../find-image.ts";
import { formatTable } from "../format-table.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { takeBreaths } from "../take-breaths.ts";
import { withProgress } from "../with-session.ts";
import { writeTo } from "../write-to.ts";

interface DiffOptions {
  readonly format?: string;
  readonly platform?: string;
}

/** docker diff's letters. */
const LETTERS = { added: "A", removed: "D", changed: "C" } as const;

export function defineDiff(command: Command, context: CommandContext): void {
  command
    .argument("<before>", "an image, by name or id")
    .argument("<after>", "another one")
    .usage("[OPTIONS] IMAGE IMAGE")
    .addOption(makeOption("--format <format>", "table, or json for one object a line"))
    .addOption(makeOption("--platform <platform>", "which one of images for several"))
    .action(async (before: string, after: string, options: DiffOptions) => {
      const isJson = parseListFormat(options.format) === "json";
      const platform = options.platform === undefined ? undefined : choosePlatform(options.platform);
      await withProgress(
        context,
        async ({ access }) => {
          const images = [before, after].map((text) => ({ text, image: findImage(access, text, platform) }));
          using from = await openSide(access, images[0]!);
          using to = await openSide(access, images[1]!);
          const tell = isJson ? tellJson : tellLine;
          for await (const change of takeBreaths(compareTrees(from.tree, to.tree), access.signal)) {
            const side = change.kind === "removed" ? from : to;
            const { layer } = change.kind === "removed" ? change.before : change.after;
            count(side, layer, change);
            await writeTo(context.stdout, tell(change, { layer, createdBy: side.createdBy[layer] ?? "" }));
          }
          if (!isJson) context.stdout.write(summarise(from, to));
        },
        { verb: "Fetched" },
      );
    });
}

/** One of the two images, and what was found by the layers that it lies in. */
interface Side extends Disposable {
  readonly name: string;
  readonly tree: UnionTree;
  readonly createdBy: readonly string[];
  readonly counts: Map<number, Record<TreeChange["kind"], number>>;
}

async function openSide(
  access: ImageAccess,
  { image, text }: { readonly image: ReturnType<typeof findImage>; readonly text: string },
): Promise<Side> {
  const { config, layers } = await openStoredImage(access, image, text);
  const tree = openUnionTree(await Promise.all(layers.map((layer) => layer.load())));
  return {
    name: text,
    tree,
    createdBy: listLayerInstructions(config),
    counts: new Map(),
    [Symbol.dispose]: () => tree[Symbol.dispose](),
  };
}

function count({ counts }: Side, layer: number, { kind }: TreeChange): void {
  const ofLayer = counts.get(layer) ?? { added: 0, removed: 0, changed: 0 };
  ofLayer[kind]++;
  counts.set(layer, ofLayer);
}

interface Origin {
  readonly layer: number;
  readonly createdBy: string;
}

/** `C 2 /etc/passwd (mode 0644 -> 0600)`: the letter, the layer it lies in, the path. */
function tellLine(change: TreeChange, { layer }: Origin): string {
  const { entry } = change.kind === "removed" ? change.before : change.after;
  const path = cleanLine(pathToText(entry.path));
  const what = change.kind === "changed" ? ` (${describeAspects(change)})` : "";
  const size = change.kind !== "changed" && entry.type === "file" ? ` ${formatSize(entry.size)}` : "";
  return `${LETTERS[change.kind]} ${layer + 1} ${path}${entry.type === "directory" && path !== "/" ? "/" : ""}${size}${what}\n`;
}

function tellJson(change: TreeChange, { layer, createdBy }: Origin): string {
  const { entry } = change.kind === "removed" ? change.before : change.after;
  return `${JSON.stringify({
    kind: change.kind,
    path: pathToText(entry.path),
    ...(change.kind === "changed" && { what: change.what }),
    layer: layer + 1,
    createdBy,
    ...(change.kind !== "added" && { before: describeEntry(change.before.entry) }),
    ...(change.kind !== "removed" && { after: describeEntry(change.after.entry) }),
  })}\n`;
}

function describeEntry(entry: Entry): object {
  return {
    type: entry.type,
    mode: formatMode(entry),
    uid: entry.uid,
    gid: entry.gid,
    ...(entry.type === "file" && { sizeBytes: entry.size }),
    ...(entry.linkTarget !== undefined && { linkTarget: textFromBytes(entry.linkTarget) }),
  };
}

/** What was removed by the first image's layers, what was added and changed by the second one's. */
function summarise(before: Side, after: Side): string {
  const rows = [before, after].flatMap(({ name, counts, createdBy }) =>
    [...counts]
      .sort(([a], [b]) => a - b)
      .map(([layer, { added, removed, changed }]) => [
        name,
        String(layer + 1),
        ...[added, changed, removed].map((number) => (number === 0 ? "-" : String(number))),
        shortenInstruction(createdBy[layer] ?? ""),
      ]),
  );
  if (rows.length === 0) return "";
  return `\n${formatTable([["IMAGE", "LAYER", "ADDED", "CHANGED", "REMOVED", "CREATED BY"], ...rows])}`;
}
