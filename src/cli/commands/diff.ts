import type { Command } from "commander";
import { diffImages, type ImageFile, type LayeredChange } from "../../index.ts";
import { formatSize } from "../../progress/format-size.ts";
import { cleanLine } from "../clean-line.ts";
import type { CommandContext } from "../command-context.ts";
import { describeAspects, formatMode } from "../describe-change.ts";
import { formatTable } from "../format-table.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { shortenInstruction } from "../shorten-instruction.ts";
import { withProgress } from "../with-session.ts";
import { writeEach } from "../write-each.ts";

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
    .action(async (before: string, after: string, { format, platform }: DiffOptions) => {
      const isJson = parseListFormat(format) === "json";
      const tell = isJson ? tellJson : tellLine;
      const counts = { before: new Map<number, LayerCounts>(), after: new Map<number, LayerCounts>() };
      await withProgress(
        context,
        async (session) => {
          const changes = diffImages(session, [before, after], { platform });
          await writeEach(context.stdout, changes, (change) => {
            count(change.kind === "removed" ? counts.before : counts.after, change);
            return tell(change);
          });
        },
        { verb: "Fetched" },
      );
      const rows = [...listCounts(before, counts.before), ...listCounts(after, counts.after)];
      if (isJson || rows.length === 0) return;
      const head = ["IMAGE", "LAYER", "ADDED", "CHANGED", "REMOVED", "CREATED BY"];
      context.stdout.write(`\n${formatTable([head, ...rows])}`);
    });
}

/** What was found in one layer. */
interface LayerCounts extends Record<LayeredChange["kind"], number> {
  readonly createdBy: string;
}

function count(counts: Map<number, LayerCounts>, { kind, layer, createdBy }: LayeredChange): void {
  const ofLayer = counts.get(layer) ?? { added: 0, removed: 0, changed: 0, createdBy };
  ofLayer[kind]++;
  counts.set(layer, ofLayer);
}

/** `C 2 /etc/passwd (mode 0644 -> 0600)`: the letter, the layer it lies in, the path. */
function tellLine(change: LayeredChange): string {
  const file = change.kind === "removed" ? change.before : change.after;
  const path = cleanLine(file.path);
  const what = change.kind === "changed" ? ` (${describeAspects(change)})` : "";
  const size = change.kind !== "changed" && file.type === "file" ? ` ${formatSize(file.sizeBytes)}` : "";
  return `${LETTERS[change.kind]} ${change.layer} ${path}${file.type === "directory" && path !== "/" ? "/" : ""}${size}${what}\n`;
}

function tellJson(change: LayeredChange): string {
  const { kind, layer, createdBy } = change;
  const { path } = change.kind === "removed" ? change.before : change.after;
  return `${JSON.stringify({
    kind,
    path,
    ...(change.kind === "changed" && { what: change.what }),
    layer,
    createdBy,
    ...(change.kind !== "added" && { before: describeFile(change.before) }),
    ...(change.kind !== "removed" && { after: describeFile(change.after) }),
  })}\n`;
}

function describeFile(file: ImageFile): object {
  const { type, uid, gid, sizeBytes, linkTarget } = file;
  return {
    type,
    mode: formatMode(file),
    uid,
    gid,
    ...(type === "file" && { sizeBytes }),
    ...(linkTarget !== undefined && { linkTarget }),
  };
}

/** What was removed by the first image's layers, or added and changed by the second one's, a row for each layer. */
function listCounts(image: string, counts: ReadonlyMap<number, LayerCounts>): string[][] {
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(([layer, { added, removed, changed, createdBy }]) => [
      image,
      String(layer),
      ...[added, changed, removed].map((number) => (number === 0 ? "-" : String(number))),
      shortenInstruction(createdBy),
    ]);
}
