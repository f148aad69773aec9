import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { writeLayoutArchive, writeLayoutFile } from "../../export/write-layout.ts";
import type { ImageAccess } from "../../image/image-access.ts";
import { type ImageReference, parseImageReference } from "../../oci/reference.ts";
import type { CommandContext } from "../command-context.ts";
import { findImage } from "../find-image.ts";
import { makeOption } from "../make-option.ts";
import { openStoredManifest } from "../stored-manifests.ts";
import { withProgress } from "../with-session.ts";

export function defineSave(command: Command, context: CommandContext): void {
  command
    .argument("<images...>", "names or ids of one image")
    .usage("[OPTIONS] IMAGE...")
    .addOption(makeOption("-o, --output <file>", "where to (default: stdout)"))
    .action(async (names: readonly string[], { output }: { readonly output?: string }) => {
      if (output === undefined && context.stdout.isTTY) {
        throw new BuildError("option-invalid", "Cannot write the archive to stdout: it is a terminal", {
          hint: "Add -o FILE, or redirect stdout",
        });
      }
      await withProgress(context, ({ access }) => save(access, names, output ?? context.stdout), {
        verb: "Saved",
      });
    });
}

/** An OCI layout that also has docker's manifest.json, so that everything can load it. */
async function save(
  access: ImageAccess,
  names: readonly string[],
  output: string | CommandContext["stdout"],
): Promise<void> {
  const images = names.map((name) => findImage(access, name));
  const other = images.findIndex((image) => image.configDigest !== images[0]!.configDigest);
  if (other > 0) {
    throw new BuildError(
      "unsupported",
      `Cannot save "${names[0]}" and "${names[other]}" together: an archive of several images is not there yet`,
    );
  }
  const manifest = await openStoredManifest(access, images[0]!, names[0]!);
  const { platform: _, ...root } = manifest.descriptor;
  const layout = { root, manifests: [manifest], names: names.flatMap(asReference), forDocker: true };
  if (typeof output === "string") await writeLayoutFile(access, output, layout);
  else await writeLayoutArchive(access, output, layout);
}

/** An id gives the archive no name. */
function asReference(text: string): ImageReference[] {
  return /^(?:sha256:)?[0-9a-f]{12,64}$/.test(text) ? [] : [parseImageReference(text)];
}
