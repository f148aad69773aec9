import type { CommandDescription } from "./list-commands.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;

/** A script that completes commands, their options, and files where neither fits. */
export function formatCompletion(
  shell: (typeof SHELLS)[number],
  commands: readonly CommandDescription[],
): string {
  const entries = commands.flatMap(withSpellings).map((command) => ({
    ...command,
    options: command.options.filter(({ isHidden }) => !isHidden),
  }));
  switch (shell) {
    case "bash":
      return formatBash(entries);
    case "zsh":
      return formatZsh(entries);
    case "fish":
      return formatFish(entries);
  }
}

/** `history ls` is docker's word for `builds ls`. */
function withSpellings(command: CommandDescription): CommandDescription[] {
  const [group, inner] = command.words;
  if (group !== "builds" || inner === undefined) return [command];
  return [command, { ...command, words: ["history", inner] }];
}

/** Options of few values, with the words of their command: `build --progress`. */
function listValues(
  entries: readonly CommandDescription[],
): { places: string[]; values: readonly string[] }[] {
  return entries.flatMap(({ words, options }) =>
    options
      .filter(({ values }) => values.length > 0)
      .map(({ names, values }) => ({ places: names.map((name) => [...words, name].join(" ")), values })),
  );
}

function formatBash(entries: readonly CommandDescription[]): string {
  const namesOf = ({ options }: CommandDescription) => options.flatMap((option) => option.names).join(" ");
  const valueCases = listValues(entries).map(
    ({ places, values }) =>
      `    ${places.map(quote).join("|")}) COMPREPLY=($(compgen -W ${quote(values.join(" "))} -- "$current")); return ;;`,
  );
  const cases = listNamed(entries).map((entry) => {
    const { words } = entry;
    const inner = listInner(entries, words);
    return `    ${quote(words.join(" "))}) options=${quote(namesOf(entry))} commands=${quote(inner.map(({ words }) => words.at(-1)!).join(" "))} ;;`;
  });
  return `# bash completion for slipway
_slipway() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} word place='' at options=${quote(namesOf(findRoot(entries)))} commands=${quote(
    listInner(entries, [])
      .map(({ words }) => words[0]!)
      .join(" "),
  )}
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    case " $commands " in *" $word "*) place=\${place:+$place }$word ;; *) continue ;; esac
    case $place in
${cases.join("\n")}
    esac
  done
  # bash cuts words at =
  [[ $previous == = ]] && previous=\${COMP_WORDS[COMP_CWORD-2]}
  [[ $current == = ]] && current=''
  case "$place $previous" in
${valueCases.join("\n")}
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$current"))
  else
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -F _slipway slipway
`;
}

function formatZsh(entries: readonly CommandDescription[]): string {
  const describe = (list: readonly CommandDescription[]) =>
    list.map(({ words, summary }) => quote(`${escapeColon(words.at(-1)!)}:${summary}`)).join(" ");
  const namesOf = ({ options }: CommandDescription) =>
    options
      .flatMap(({ names, summary }) => names.map((name) => quote(`${escapeColon(name)}:${summary}`)))
      .join(" ");
  const cases = listNamed(entries).map((entry) => {
    const { words } = entry;
    const inner = listInner(entries, words);
    return `    ${quote(words.join(" "))}) options=(${namesOf(entry)}) commands=(${describe(inner)}) ;;`;
  });
  const valueCases = listValues(entries).map(
    ({ places, values }) =>
      `    ${places.map(quote).join("|")}) compadd -- ${values.map(quote).join(" ")}; return ;;`,
  );
  return `#compdef slipway
_slipway() {
  local place='' word at
  local -a options commands
  options=(${namesOf(findRoot(entries))})
  commands=(${describe(listInner(entries, []))})
  for ((at = 2; at < CURRENT; at++)); do
    word=$words[at]
    (( \${commands[(I)$word:*]} )) || continue
    place=\${place:+$place }$word
    case $place in
${cases.join("\n")}
    esac
  done
  local previous=$words[CURRENT-1]
  if [[ $words[CURRENT] == --*=* ]]; then
    previous=\${words[CURRENT]%%=*}
    compset -P '*='
  fi
  case "$place $previous" in
${valueCases.join("\n")}
  esac
  if [[ $words[CURRENT] == -* ]]; then
    _describe -o option options
  elif (( $#commands )); then
    _describe command commands
  else
    _files
  fi
}
if [[ $funcstack[1] == _slipway ]]; then _slipway "$@"; else compdef _slipway slipway; fi
`;
}

function formatFish(entries: readonly CommandDescription[]): string {
  const lines = entries.flatMap(({ words, summary, options }) => {
    const name = words.at(-1);
    const when = quote(seen(words.slice(0, -1)));
    return [
      ...(name === undefined
        ? []
        : [`complete -c slipway -f -n ${when} -a ${quote(name)} -d ${quote(summary)}`]),
      ...options.map(({ names, summary, hasValue, values }) => {
        const flags = names.map((name) =>
          name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
        );
        return `complete -c slipway -n ${quote(seen(words))} ${flags.join(" ")}${hasValue ? " -r" : ""}${values.length > 0 ? ` -f -a ${quote(values.join(" "))}` : ""} -d ${quote(summary)}`;
      }),
    ];
  });
  return `# fish completion for slipway\n${lines.join("\n")}\n`;
}

function findRoot(entries: readonly CommandDescription[]): CommandDescription {
  return entries.find(({ words }) => words.length === 0)!;
}

function listNamed(entries: readonly CommandDescription[]): CommandDescription[] {
  return entries.filter(({ words }) => words.length > 0);
}

function seen(words: readonly string[]): string {
  if (words.length === 0) return "__fish_use_subcommand";
  return words.map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ");
}

function listInner(entries: readonly CommandDescription[], words: readonly string[]): CommandDescription[] {
  return entries.filter(
    (entry) => entry.words.length === words.length + 1 && words.every((word, at) => entry.words[at] === word),
  );
}

function escapeColon(text: string): string {
  return text.replaceAll(":", "\\:");
}

/** In single quotes, for any of the shells. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
