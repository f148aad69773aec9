import { createReadStream } from "node:fs";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import type { TreeEntry, UnionTree } from "../../rootfs/union-tree.ts";
import type { CommandContext } from "../command-context.ts";
import { findImage } from "../find-image.ts";
import { findPath, openImageTree, splitImagePath } from "../open-image-tree.ts";
import { withProgress } from "../with-session.ts";

export function defineCat(command: Command, context: CommandContext): void {
  command
    .argument("<file>", "IMAGE:/PATH")
    .usage("IMAGE:/PATH")
    .action(async (text: string) => {
      const { image, path } = splitImagePath(text);
      if (path === undefined) {
        throw new BuildError("option-invalid", `Cannot print "${text}": it names no file`, {
          hint: `Write ${text}:/PATH`,
        });
      }
      await withProgress(
        context,
        async ({ access }) => {
          using tree = await openImageTree(access, findImage(access, image), image);
          const { entry } = findPath(tree, path, { name: image, followLast: true });
          if (entry.entry.type !== "file") {
            throw new BuildError("option-invalid", `Cannot print "${text}": it is a ${entry.entry.type}`);
          }
          await copyBytes(tree, entry, context.stdout, access.signal);
        },
        { verb: "Fetched" },
      );
    });
}

async function copyBytes(
  tree: UnionTree,
  entry: TreeEntry,
  output: Writable,
  signal: AbortSignal,
): Promise<void> {
  const { filePath, offset, size } = tree.locate(entry);
  if (size === 0) return;
  await pipeline(createReadStream(filePath, { start: offset, end: offset + size - 1 }), output, {
    end: false,
    signal,
  });
}
