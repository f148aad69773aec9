/** One challenge of a WWW-Authenticate header (RFC 9110, 11.6.1). */
export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** By lower-case name. */
  readonly parameters: Readonly<Record<string, string>>;
}

const TOKEN = /[A-Za-z0-9!#$%&'*+.^_`|~-]+/y;
const PARAMETER = /([A-Za-z0-9!#$%&'*+.^_`|~-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))/y;

/** Reads a WWW-Authenticate header, which may hold several challenges; stops quietly at what it cannot read. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  let position = 0;
  const match = (pattern: RegExp) => {
    pattern.lastIndex = position;
    const found = pattern.exec(header);
    if (found !== null) position = pattern.lastIndex;
    return found;
  };
  for (;;) {
    match(/[\s,]*/y);
    const last = challenges.at(-1);
    const parameter = last === undefined ? null : match(PARAMETER);
    if (last !== undefined && parameter !== null) {
      last.parameters[parameter[1]!.toLowerCase()] =
        parameter[2]?.replace(/\\(.)/g, "$1") ?? parameter[3] ?? "";
      continue;
    }
    const scheme = match(TOKEN);
    if (scheme === null) return challenges;
    challenges.push({ scheme: scheme[0].toLowerCase(), parameters: {} });
  }
}
