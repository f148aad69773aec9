/** `npm run docs:options`: writes docs/options.md from the tables that `--help` and the completions are made of. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CommandContext } from "../src/cli/command-context.ts";
import { type CommandDescription, listCommands } from "../src/cli/list-commands.ts";

export const OPTIONS_PAGE = join(import.meta.dirname, "../docs/options.md");

const HEAD = `# Options

<!-- npm run docs:options writes this page -->

Every command and option, from the tables that \`--help\` is made of. Options with an angle bracket take a value, \`--tag=app\` or \`--tag app\`;
those without also take \`=true\` and \`=false\`. Settings that hold for every build: [configuration](configuration.md).
`;

/** The whole page. */
export async function formatOptionsPage(): Promise<string> {
  // To define a command touches nothing of the world.
  const commands = await listCommands({} as CommandContext);
  return [HEAD, ...commands.map(formatCommand)].join("\n");
}

function formatCommand({ words, usage, summary, options }: CommandDescription): string {
  const title = ["slipway", ...words].join(" ");
  const heading = words.length === 0 ? "## Before or behind any command" : `## ${title}`;
  const intro = words.length === 0 ? "" : `${summary}: \`${title} ${usage}\`\n\n`;
  const rows = options
    .filter(({ names }) => words.length === 0 || !names.includes("--help"))
    .map(({ flags, summary: what }) => `| \`${flags}\` | ${escapeMarks(what)} |`);
  const table = rows.length === 0 ? "" : `| Option | |\n| --- | --- |\n${rows.join("\n")}\n`;
  return `${heading}\n\n${intro}${table}`;
}

function escapeMarks(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "\\<").replaceAll("*", "\\*");
}

if (import.meta.main) writeFileSync(OPTIONS_PAGE, await formatOptionsPage());
