import { pushImage } from "../export/push-image.ts";
import { tagImage } from "../export/tag-image.ts";
import {
  type LayoutOptions,
  writeLayoutArchive,
  writeLayoutDirectory,
  writeLayoutFile,
} from "../export/write-layout.ts";
import {
  type AssembledImage,
  type WrittenManifest,
  writeIndexOrManifest,
  writeManifest,
} from "../image/assemble-image.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { parseImageReference } from "../oci/reference.ts";
import type { BuildOutput } from "./build-options.ts";

/**
 * Sends the images to every output. Everything that can fail comes before the tags of the store change.
 *
 * @returns the manifests, in the order of the images, where an output needed them.
 */
export async function exportImages(
  access: ImageAccess,
  images: readonly AssembledImage[],
  options: { readonly outputs: readonly BuildOutput[]; readonly tags: readonly string[] },
): Promise<readonly WrittenManifest[]> {
  const { outputs, tags } = options;
  // Names are checked before any work is done.
  for (const name of [...tags, ...outputs.flatMap((output) => ("names" in output ? output.names : []))])
    parseImageReference(name);

  let last: readonly WrittenManifest[] = [];
  for (const output of outputs) {
    if (output.type === "cacheonly" || (output.type === "image" && !output.push)) continue;
    last = await exportWithManifest(access, images, { output, tags });
  }
  for (const output of outputs) {
    if (output.type !== "image") continue;
    for (const image of images) tagImage(access, image, [...tags, ...output.names]);
  }
  return last;
}

async function exportWithManifest(
  access: ImageAccess,
  images: readonly AssembledImage[],
  {
    output,
    tags,
  }: { readonly output: Exclude<BuildOutput, { type: "cacheonly" }>; readonly tags: readonly string[] },
): Promise<readonly WrittenManifest[]> {
  const dockerTypes = output.type === "docker";
  const manifests = await Promise.all(
    images.map((image) => writeManifest(access, image, { compression: "gzip", dockerTypes })),
  );
  const root = await writeIndexOrManifest(access, manifests, { dockerTypes });
  const names = [...new Set([...tags, ...output.names])].map(parseImageReference);
  if (output.type === "image") {
    for (const name of names) await pushImage(access, name, { root, manifests });
    return manifests;
  }
  const layout: LayoutOptions = { root, manifests, names, forDocker: dockerTypes };
  if (typeof output.dest !== "string") await writeLayoutArchive(access, output.dest, layout);
  else if (output.tar) await writeLayoutFile(access, output.dest, layout);
  else await writeLayoutDirectory(access, output.dest, layout);
  return manifests;
}
