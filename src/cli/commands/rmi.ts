import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import type { ImageAccess } from "../../image/image-access.ts";
import { familiarName, familiarRepository, parseImageReference, storeName } from "../../oci/reference.ts";
import { listContainers, removeContainer } from "../../store/containers.ts";
import {
  findTags,
  type ImageTag,
  listTags,
  removeImage,
  removeTag,
  type StoredImage,
} from "../../store/images.ts";
import type { CommandContext } from "../command-context.ts";
import { findImage } from "../find-image.ts";
import { makeOption } from "../make-option.ts";
import { runForEach } from "../run-for-each.ts";
import { withSession } from "../with-session.ts";

export function defineRmi(command: Command, context: CommandContext): void {
  command
    .argument("<images...>", "names or ids")
    .usage("[OPTIONS] IMAGE...")
    .addOption(
      makeOption(
        "-f, --force",
        "remove all names of an id, and containers that stand on it; do not mind what is not there",
      ),
    )
    .addOption(makeOption("--no-prune", "has no effect", { isHidden: true }))
    .action(async (images: readonly string[], options: { readonly force?: true }) => {
      await withSession(context, ({ access }) =>
        runForEach(
          images,
          context,
          async (text) => {
            for (const line of remove(access, text, options.force === true))
              context.stdout.write(`${line}\n`);
          },
          // As docker has it: what is not there is told, and no failure.
          { mayPass: options.force ? "image-not-found" : undefined },
        ),
      );
    });
}

/** By name: that name, and the image with its last one. By id: the image, if it has one name at most. Says what went, in docker's words. */
function remove(access: ImageAccess, text: string, force: boolean): string[] {
  const { store } = access;
  const image = findImage(access, text);
  const tags = listTags(store).filter((tag) => tag.configDigest === image.configDigest);
  const names = [...new Set(tags.map((tag) => tag.name))];
  const name = nameOf(access, text);
  const goesWhole = name === undefined || (names.length === 1 && names[0] === name);
  if (name === undefined && names.length > 1 && !force) {
    const shown = names.map((one) => familiarName(parseImageReference(one))).join(", ");
    throw new BuildError("not-permitted", `Cannot remove "${text}": the image has ${names.length} names`, {
      hint: `Remove one of them (${shown}), or all with --force`,
    });
  }
  if (goesWhole) freeContainers(access, image, { text, force });
  const removedNames = name === undefined ? names : [name];
  const untagged = [
    ...removedNames.map((one) => familiarName(parseImageReference(one))),
    ...listLostDigests(tags, removedNames),
  ].map((one) => `Untagged: ${one}`);
  if (name === undefined) {
    removeImage(store, image.configDigest);
    return [...untagged, `Deleted: ${image.configDigest}`];
  }
  return [...untagged, ...removeTag(store, name).images.map((id) => `Deleted: ${id}`)];
}

/** The `NAME@DIGEST` that no name leads to any more. */
function listLostDigests(tags: readonly ImageTag[], removedNames: readonly string[]): string[] {
  const isRemoved = (tag: ImageTag) => removedNames.includes(tag.name);
  const digestsOf = (some: readonly ImageTag[]) =>
    new Set(
      some.flatMap(({ name, targetDigest }) => {
        const reference = parseImageReference(name);
        const isPlain = targetDigest !== undefined && reference.digest === undefined;
        return isPlain ? `${familiarRepository(reference)}@${targetDigest}` : [];
      }),
    );
  const left = digestsOf(tags.filter((tag) => !isRemoved(tag)));
  return [...digestsOf(tags.filter(isRemoved))].filter((digest) => !left.has(digest));
}

/** The full name when the text is one that the store has; undefined for an id. */
function nameOf({ store }: ImageAccess, text: string): string | undefined {
  if (/^(?:sha256:)?[0-9a-f]{64}$/.test(text)) return undefined;
  const name = storeName(parseImageReference(text));
  return findTags(store, name).length === 0 ? undefined : name;
}

function freeContainers(
  { store }: ImageAccess,
  { configDigest }: StoredImage,
  { text, force }: { readonly text: string; readonly force: boolean },
): void {
  const containers = listContainers(store).filter((container) => container.configDigest === configDigest);
  if (containers.length > 0 && !force) {
    const names = containers.map(({ name }) => name).join(", ");
    throw new BuildError("not-permitted", `Cannot remove "${text}": the container ${names} stands on it`, {
      hint: "Remove the container first, or both with --force",
    });
  }
  for (const { id } of containers) removeContainer(store, id);
}
