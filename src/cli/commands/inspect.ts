import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import type { ImageAccess } from "../../image/image-access.ts";
import type { ImageConfig } from "../../oci/image-config.ts";
import { familiarName, familiarRepository, parseImageReference } from "../../oci/reference.ts";
import { readJsonBlob } from "../../store/blobs.ts";
import { findContainer } from "../../store/containers.ts";
import { findImage as findStoredImage, listTags, type StoredImage } from "../../store/images.ts";
import type { CommandContext } from "../command-context.ts";
import { fillTemplate } from "../fill-template.ts";
import { findImage } from "../find-image.ts";
import { imageSize } from "../image-rows.ts";
import { makeOption } from "../make-option.ts";
import { runForEach } from "../run-for-each.ts";
import { withSession } from "../with-session.ts";

interface InspectOptions {
  readonly format?: string;
  readonly type?: string;
}

export function defineInspect(command: Command, context: CommandContext): void {
  command
    .argument("<names...>", "images or containers, by name or id")
    .usage("[OPTIONS] NAME...")
    .addOption(
      makeOption("-f, --format <template>", "json, or a text with {{.Config.Env}} and {{json .Config}}"),
    )
    .addOption(makeOption("--type <type>", "image or container").choices(["image", "container"]))
    .action(async (names: readonly string[], options: InspectOptions) => {
      const found: object[] = [];
      await withSession(context, ({ access }) =>
        runForEach(names, context, async (name) => {
          const described = await describe(access, name, options.type);
          if (options.format === undefined) found.push(described);
          else context.stdout.write(`${fillTemplate(options.format, described)}\n`);
        }),
      );
      if (options.format === undefined) context.stdout.write(`${JSON.stringify(found, undefined, 4)}\n`);
    });
}

async function describe(access: ImageAccess, name: string, type: string | undefined): Promise<object> {
  const container = type === "image" ? undefined : findContainer(access.store, name);
  if (container !== undefined) {
    const image = findStoredImage(access.store, container.configDigest);
    const config = image && (await readJsonBlob<ImageConfig>(access.store, image.configDigest));
    return {
      Id: container.id,
      Created: new Date(container.created).toISOString(),
      Name: `/${container.name}`,
      State: { Status: "created", Running: false },
      Image: container.configDigest,
      Config: config?.config ?? {},
    };
  }
  if (type === "container") {
    throw new BuildError("image-not-found", `Cannot inspect "${name}": there is no container of that name`);
  }
  return describeImage(access, findImage(access, name));
}

/** The shape of docker's image API; what slipway does not know is left out. */
async function describeImage({ store }: ImageAccess, image: StoredImage): Promise<object> {
  const config = await readJsonBlob<ImageConfig>(store, image.configDigest);
  const tags = listTags(store).filter((tag) => tag.configDigest === image.configDigest);
  const references = tags.map((tag) => ({ ...tag, reference: parseImageReference(tag.name) }));
  return {
    Id: image.configDigest,
    RepoTags: [
      ...new Set(
        references.flatMap(({ reference }) =>
          reference.tag === undefined ? [] : familiarName({ ...reference, digest: undefined }),
        ),
      ),
    ],
    RepoDigests: [
      ...new Set(
        references.flatMap(({ reference, targetDigest }) => {
          const digest = targetDigest ?? reference.digest;
          return digest === undefined ? [] : `${familiarRepository(reference)}@${digest}`;
        }),
      ),
    ],
    Created: config.created ?? new Date(image.created).toISOString(),
    Author: config.author ?? "",
    Architecture: config.architecture,
    ...(config.variant && { Variant: config.variant }),
    Os: config.os,
    Size: await imageSize(store, image),
    RootFS: { Type: config.rootfs.type, Layers: config.rootfs.diff_ids },
    Config: config.config ?? {},
  };
}
