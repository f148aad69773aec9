import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import type { ImageAccess } from "../../image/image-access.ts";
import type { ImageConfig } from "../../oci/image-config.ts";
import { readJsonBlob } from "../../store/blobs.ts";
import { findContainer } from "../../store/containers.ts";
import { findImage as findStoredImage } from "../../store/images.ts";
import type { CommandContext } from "../command-context.ts";
import { describeConfig, describeImage } from "../describe-image.ts";
import { findImage } from "../find-image.ts";
import { makeOption } from "../make-option.ts";
import { runForEach } from "../run-for-each.ts";
import { parseTemplate, type Template } from "../template/parse-template.ts";
import { runTemplate } from "../template/run-template.ts";
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
      makeOption("-f, --format <template>", "json, or a template like {{.Config.Env}} or {{json .Config}}"),
    )
    .addOption(makeOption("-s, --size", "has no effect on images", { isHidden: true }))
    .addOption(makeOption("--type <type>", "image or container").choices(["image", "container"]))
    .action(async (names: readonly string[], options: InspectOptions) => {
      const template = options.format === undefined ? undefined : readFormat(options.format);
      const found: object[] = [];
      await withSession(context, ({ access }) =>
        runForEach(names, context, async (name) => {
          const described = await describe(access, name, options.type);
          if (template === undefined) found.push(described);
          else context.stdout.write(`${runTemplate(template, described)}\n`);
        }),
      );
      if (template === undefined) context.stdout.write(`${JSON.stringify(found, undefined, 4)}\n`);
    });
}

/** `json` is short for all of it. */
function readFormat(text: string): Template {
  return parseTemplate(text === "json" ? "{{json .}}" : text);
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
      Config: describeConfig(config?.config ?? {}),
    };
  }
  if (type === "container") {
    throw new BuildError("image-not-found", `Cannot inspect "${name}": there is no container of that name`);
  }
  return describeImage(access, findImage(access, name));
}
