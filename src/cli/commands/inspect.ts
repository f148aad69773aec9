import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { inspectContainer, inspectImage, type Session } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { describeConfig, describeImage } from "../describe-image.ts";
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
      await withSession(context, (session) =>
        runForEach(names, context, async (name) => {
          const described = await describe(session, name, options.type);
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

async function describe(session: Session, name: string, type: string | undefined): Promise<object> {
  const container = type === "image" ? undefined : await inspectContainer(session, name);
  if (container !== undefined) {
    return {
      Id: container.id,
      Created: new Date(container.created).toISOString(),
      Name: `/${container.name}`,
      State: { Status: "created", Running: false },
      Image: container.configDigest,
      Config: describeConfig(container.config?.config ?? {}),
    };
  }
  if (type === "container") {
    throw new BuildError("image-not-found", `Cannot inspect "${name}": there is no container of that name`);
  }
  return describeImage(await inspectImage(session, name));
}
