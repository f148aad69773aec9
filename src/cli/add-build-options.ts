import type { Command } from "commander";
import { makeBuildOptions } from "./build-flags.ts";

/**
 * Gives a look at a build the options of `build`, so that one command line does for both; those that change nothing in what it says are
 * taken, but not shown.
 */
export function addBuildOptions(
  command: Command,
  { shown, left }: { readonly shown: readonly string[]; readonly left: readonly string[] },
): void {
  for (const option of makeBuildOptions()) {
    const name = option.long ?? "";
    if (left.includes(name)) continue;
    if (!shown.includes(name)) option.hideHelp();
    command.addOption(option.helpGroup("Options:"));
  }
}
