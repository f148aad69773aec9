import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { resolveImage } from "../../image/resolve-image.ts";
import { writeContainer } from "../../store/containers.ts";
import type { CommandContext } from "../command-context.ts";
import { choosePlatform } from "../find-image.ts";
import { makeOption } from "../make-option.ts";
import { withProgress } from "../with-session.ts";

interface CreateOptions {
  readonly name?: string;
  readonly platform?: string;
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

export function defineContainerCreate(command: Command, context: CommandContext): void {
  command
    .argument("<image>", "a name or an id; pulled when it is not here")
    .argument("[command...]", "has no effect: the container never runs")
    .usage("[OPTIONS] IMAGE [COMMAND] [ARG...]")
    .passThroughOptions()
    .addOption(makeOption("--name <name>", "name for the container (default: its id)"))
    .addOption(makeOption("--platform <platform>", "os/architecture[/variant]"))
    .action(async (image: string, _command: readonly string[], options: CreateOptions) => {
      const id = randomBytes(32).toString("hex");
      const name = options.name ?? id.slice(0, 12);
      if (!NAME.test(name)) {
        throw new BuildError(
          "option-invalid",
          `Cannot call a container "${name}": names have letters, digits and "_.-"`,
        );
      }
      await withProgress(
        context,
        async ({ access }) => {
          const { configDigest, layers } = await resolveImage(access, image, {
            platform: choosePlatform(options.platform),
          });
          await Promise.all(layers.map((layer) => layer.load()));
          if (writeContainer(access.store, { id, name, configDigest, created: Date.now() })) return;
          throw new BuildError(
            "not-permitted",
            `Cannot create the container "${name}": there is one of that name`,
            {
              hint: `Remove it with slipway container rm ${name}`,
            },
          );
        },
        { verb: "Pulled" },
      );
      context.stdout.write(`${id}\n`);
    });
}
