import { type Command, Option } from "commander";

export interface OptionSettings {
  /** May be given several times; its value is an array, empty when it is not given. */
  readonly isRepeatable?: boolean;
  /** The heading in `--help`. */
  readonly group?: string;
  /** What completions offer for its value. */
  readonly values?: readonly string[];
  /** Not shown in `--help`. */
  readonly isHidden?: boolean;
}

/** An option of a command. `flags` is commander's form: `-t, --tag <name>`. */
export function makeOption(flags: string, summary: string, settings: OptionSettings = {}): Option {
  const option = new Option(flags, summary).hideHelp(settings.isHidden === true);
  // commander would read --no-cache as the opposite of --cache, and --no-cache-filter too.
  option.negate = false;
  if (settings.group !== undefined) option.helpGroup(settings.group);
  if (settings.values !== undefined) option.argChoices = [...settings.values];
  if (settings.isRepeatable) {
    option.default([]).argParser((value, before: readonly string[]) => [...before, value]);
  }
  return option;
}

/**
 * Lets a command take what Go's flag library takes and scripts therefore use: `--pull=true`, `--rm=false` for options without a
 * value, and `-t=name`.
 */
export function takeGoSpellings(command: Command): void {
  const parseOptions = command.parseOptions.bind(command);
  command.parseOptions = (args) => parseOptions(spellArguments(command, args));
}

function spellArguments(command: Command, args: readonly string[]): string[] {
  const find = (flag: string) => command.options.find(({ long, short }) => long === flag || short === flag);
  const spelled: string[] = [];
  for (const [position, arg] of args.entries()) {
    if (arg === "--") return [...spelled, ...args.slice(position)];
    const [, flag, value] = /^(-[a-zA-Z]|--[a-z-]+)=(.*)$/s.exec(arg) ?? [];
    const option = flag === undefined ? undefined : find(flag);
    if (option === undefined || value === undefined) spelled.push(arg);
    else if (option.required) spelled.push(...(flag!.length === 2 ? [flag!, value] : [arg]));
    else if (option.isBoolean() && /^(1|t|true)$/i.test(value)) spelled.push(flag!);
    else if (!option.isBoolean() || !/^(0|f|false)$/i.test(value)) spelled.push(arg);
    // Off is the default of most; the others have an opposite.
    else if (find(oppositeOf(option)) !== undefined) spelled.push(oppositeOf(option));
  }
  return spelled;
}

function oppositeOf({ long }: Option): string {
  return `--no-${long?.slice(2)}`;
}
