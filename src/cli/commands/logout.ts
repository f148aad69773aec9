import type { Command } from "commander";
import { logout } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { parseRegistryHost } from "../registry-host.ts";

export function defineLogout(command: Command, context: CommandContext): void {
  command
    .argument("[registry]", "host[:port] (default: Docker Hub)")
    .usage("[OPTIONS] [REGISTRY]")
    .addOption(makeOption("--authfile <file>", "where the credentials are (default: docker's)"))
    .action(async (registry: string | undefined, { authfile }: { readonly authfile?: string }) => {
      const host = parseRegistryHost(registry);
      const name = host === "docker.io" ? "https://index.docker.io/v1/" : host;
      const wasLoggedIn = await logout(host, {
        authFile: authfile ?? context.settings().authFile,
        environment: context.env,
      });
      context.stdout.write(
        wasLoggedIn ? `Removing login credentials for ${name}\n` : `Not logged in to ${name}\n`,
      );
    });
}
