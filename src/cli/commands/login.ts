import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { login, makeStoredCredentials } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { readStandardInput } from "../read-standard-input.ts";
import { addRegistryFlags, type RegistryFlags, readRegistryFlags } from "../registry-flags.ts";
import { parseRegistryHost } from "../registry-host.ts";

interface LoginFlags extends RegistryFlags {
  readonly username?: string;
  readonly password?: string;
  readonly passwordStdin?: true;
}

interface Account {
  readonly username: string;
  readonly password: string;
}

const PASSWORD_SIZE_MAX = 1024 * 1024;

export function defineLogin(command: Command, context: CommandContext): void {
  command
    .argument("[registry]", "host[:port] (default: Docker Hub)")
    .usage("[OPTIONS] [REGISTRY]")
    .addOption(makeOption("-u, --username <name>", "who you are there"))
    .addOption(makeOption("-p, --password <password>", "seen by every user of this machine: prefer stdin"))
    .addOption(makeOption("--password-stdin", "take the password from stdin"));
  addRegistryFlags(command);
  command.action(async (registry: string | undefined, flags: LoginFlags) => {
    const host = parseRegistryHost(registry);
    const { authFile, tlsVerify, registryOptions } = readRegistryFlags(context, flags);
    const stored = await login(host, {
      ...(await findAccount(context, host, { ...flags, authfile: authFile })),
      authFile,
      environment: context.env,
      client: { ...registryOptions, tlsVerify, environment: context.env, signal: context.signal },
      signal: context.signal,
    });
    if (stored.isPlainText) {
      context.stderr.write(
        `WARNING! Your credentials are stored unencrypted in '${stored.storedIn}'.\n` +
          "Configure a credential helper to remove this warning. See\n" +
          "https://docs.docker.com/go/credential-store/\n\n",
      );
    }
    context.stdout.write("Login Succeeded\n");
  });
}

/** From the options, else from the file, else from whoever sits at the terminal: docker's order. */
async function findAccount(context: CommandContext, host: string, flags: LoginFlags): Promise<Account> {
  const { username, password } = flags;
  if (flags.passwordStdin) return readAccount(context, flags);
  if (password !== undefined) {
    context.stderr.write("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
    if (username !== undefined && username !== "") return { username, password: notEmpty(password) };
  } else if (username === undefined) {
    const held = await findHeldAccount(context, host, flags);
    if (held !== undefined) {
      context.stderr.write(`Authenticating with existing credentials... [Username: ${held.username}]\n`);
      return held;
    }
  }
  return askAccount(context, flags);
}

async function readAccount(context: CommandContext, { username, password }: LoginFlags): Promise<Account> {
  if (password !== undefined) {
    throw new BuildError(
      "option-invalid",
      "Cannot log in: --password and --password-stdin exclude each other",
    );
  }
  if (username === undefined || username === "") {
    throw new BuildError("option-invalid", "Cannot log in: --password-stdin needs --username");
  }
  const { stdin, signal } = context;
  const bytes = await readStandardInput(stdin, {
    what: "the password",
    limitBytes: PASSWORD_SIZE_MAX,
    signal,
  });
  // The line end of `echo secret |` or a file.
  return {
    username,
    password: notEmpty(
      Buffer.from(bytes)
        .toString("utf8")
        .replace(/\r?\n$/, ""),
    ),
  };
}

async function findHeldAccount(
  context: CommandContext,
  host: string,
  flags: LoginFlags,
): Promise<Account | undefined> {
  // The file that --authfile names need not be there before the first login.
  const { existsSync } = await import("node:fs");
  const named = flags.authfile ?? context.env.REGISTRY_AUTH_FILE;
  if (named && !existsSync(named)) return undefined;
  const held = await makeStoredCredentials({ authFile: flags.authfile, environment: context.env })(host);
  return held?.kind === "password" ? held : undefined;
}

async function askAccount(context: CommandContext, flags: LoginFlags): Promise<Account> {
  if (!context.stdin.isTTY) {
    throw new BuildError("option-invalid", "Cannot ask for the password: stdin is not a terminal", {
      hint: "Pass --username NAME --password-stdin, and the password on stdin",
    });
  }
  const { askOnTerminal } = await import("../ask-on-terminal.ts");
  const username = (flags.username || (await askOnTerminal(context, "Username: ")))?.trim();
  if (!username) throw new BuildError("option-invalid", "Cannot log in: the user name is empty");
  const password = flags.password ?? (await askOnTerminal(context, "Password: ", { isSecret: true })) ?? "";
  return { username, password: notEmpty(password) };
}

function notEmpty(password: string): string {
  if (password !== "") return password;
  throw new BuildError("option-invalid", "Cannot log in: the password is empty");
}
