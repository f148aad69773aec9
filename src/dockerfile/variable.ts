/** The variables that an expansion sees. */
export type Environment = ReadonlyMap<string, string> | Readonly<Record<string, string>>;

const ASCII_NAME = /\d+|\w*/y;
const SPECIAL = "@*#?-$!";

/**
 * The name at a place in a text: letters, digits and `_`, a positional parameter (`12`) or one special parameter (POSIX
 * shell, 2.5.2). None of the last two is ever set. Empty when there is no name.
 */
export function readVariableName(text: string, at: number): string {
  if (at < text.length && SPECIAL.includes(text[at]!)) return text[at]!;
  ASCII_NAME.lastIndex = at;
  const name = ASCII_NAME.exec(text)![0];
  return text.charCodeAt(at + name.length) > 0x7f ? readUnicodeName(text, at) : name;
}

/** The classes of Unicode take V8 a millisecond to compile, and few names need them. */
function readUnicodeName(text: string, at: number): string {
  const name = /\p{Nd}+|[\p{L}\p{Nd}_]*/uy;
  name.lastIndex = at;
  return name.exec(text)![0];
}

/** A variable's value; undefined when it is not set. On Windows names match in any case. */
export function findVariable(env: Environment, name: string, ignoreCase: boolean): string | undefined {
  if (ignoreCase) {
    const entries = env instanceof Map ? env.entries() : Object.entries(env);
    for (const [key, value] of entries) if (key.toLowerCase() === name.toLowerCase()) return value;
    return undefined;
  }
  if (env instanceof Map) return env.get(name);
  return Object.hasOwn(env, name) ? (env as Readonly<Record<string, string>>)[name] : undefined;
}
