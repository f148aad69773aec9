import { BuildError } from "../errors/build-error.ts";

/** From a file's permission bits (0 to 0o7777) to those that it gets. */
export type ModeChange = (mode: number, isDirectory: boolean) => number;

const CLAUSE = /^([ugoa]*)((?:[-+=](?:[rwxXst]+|[ugo]|))+)$/;
const ACTION = /([-+=])([rwxXst]+|[ugo]|)/g;
const SHIFT: Readonly<Record<string, number>> = { u: 6, g: 3, o: 0 };
const BIT: Readonly<Record<string, number>> = { r: 4, w: 2, x: 1 };

/**
 * `--chmod`: octal digits, or clauses as POSIX `chmod` has them (`u=rwX,go=rX`), with an umask of 0.
 * @throws BuildError `option-invalid`.
 */
export function parseModeChange(text: string): ModeChange {
  if (/^[0-7]{1,5}$/.test(text) && Number.parseInt(text, 8) <= 0o7777) {
    const mode = Number.parseInt(text, 8);
    return () => mode;
  }
  const changes = text.split(",").map((clause) => parseClause(clause, text));
  return (mode, isDirectory) => changes.reduce((changed, change) => change(changed, isDirectory), mode);
}

function parseClause(clause: string, text: string): ModeChange {
  const match = CLAUSE.exec(clause);
  if (match === null) {
    throw new BuildError(
      "option-invalid",
      `Cannot use "${text}" as --chmod: it is neither octal nor symbolic`,
      {
        hint: 'Write it like "755" or "u=rwX,go=rX"',
      },
    );
  }
  const who = match[1] === "" || match[1]!.includes("a") ? "ugo" : match[1]!;
  const actions = [...match[2]!.matchAll(ACTION)].map(([, operator, permissions]) => ({
    operator,
    permissions,
  }));
  return (mode, isDirectory) => {
    let changed = mode;
    for (const { operator, permissions } of actions) {
      const bits = bitsOf(permissions!, { who, mode: changed, isDirectory });
      if (operator === "+") changed |= bits;
      else if (operator === "-") changed &= ~bits;
      else changed = (changed & ~maskOf(who)) | bits;
    }
    return changed;
  };
}

interface Subject {
  readonly who: string;
  readonly mode: number;
  readonly isDirectory: boolean;
}

function bitsOf(permissions: string, { who, mode, isDirectory }: Subject): number {
  let bits = 0;
  for (const one of new Set(who)) {
    const shift = SHIFT[one]!;
    for (const permission of permissions) {
      if (permission in SHIFT) bits |= ((mode >> SHIFT[permission]!) & 7) << shift;
      else if (permission in BIT) bits |= BIT[permission]! << shift;
      else if (permission === "X" && (isDirectory || (mode & 0o111) !== 0)) bits |= 1 << shift;
      else if (permission === "s" && one !== "o") bits |= one === "u" ? 0o4000 : 0o2000;
      else if (permission === "t" && one === "o") bits |= 0o1000;
    }
  }
  return bits;
}

/** What `=` clears. */
function maskOf(who: string): number {
  let mask = 0;
  if (who.includes("u")) mask |= 0o4700;
  if (who.includes("g")) mask |= 0o2070;
  if (who.includes("o")) mask |= 0o1007;
  return mask;
}
