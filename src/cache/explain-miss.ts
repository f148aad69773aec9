import type { FileChange } from "./diff-files.ts";
import { splitRecordIds } from "./step-key.ts";

/** One part of a step's key that is not what it was. */
export interface KeyChange {
  /** The part of the key: `base`, `args`, `content`...; `none` when there is no earlier step to compare with. */
  readonly part: string;
  /** `3 files changed`, `its input "COPY a b" changed`. */
  readonly message: string;
  readonly files?: readonly FileChange[];
}

type Parts = Readonly<Record<string, unknown>>;

export interface ExplainOptions {
  /** What made a record in this build: a step's name. */
  readonly nameOf: (recordId: string) => string | undefined;
  /** The files that differ between two content digests; undefined where they are not known. */
  readonly filesBetween: (earlier: string, now: string) => readonly FileChange[] | undefined;
}

/** Says which parts of a key differ from those of an earlier one; `parts` is what `StepKey` keeps of them. */
export function explainMiss(earlierParts: string, nowParts: string, options: ExplainOptions): KeyChange[] {
  const earlier = JSON.parse(earlierParts) as Parts;
  const now = JSON.parse(nowParts) as Parts;
  const changes: KeyChange[] = [];
  for (const part of [...new Set([...Object.keys(now), ...Object.keys(earlier)])]) {
    if (isSame(earlier[part], now[part])) continue;
    changes.push(...explainPart(part, [earlier[part], now[part]], options));
  }
  return changes;
}

/** How many parts differ: the earlier step with the fewest is the nearest. */
export function countDifferences(earlierParts: string, nowParts: string): number {
  const earlier = JSON.parse(earlierParts) as Parts;
  const now = JSON.parse(nowParts) as Parts;
  if (earlier.kind !== now.kind) return Number.POSITIVE_INFINITY;
  const parts = new Set([...Object.keys(now), ...Object.keys(earlier)]);
  return [...parts].filter((part) => !isSame(earlier[part], now[part])).length;
}

function explainPart(
  part: string,
  [before, after]: readonly [unknown, unknown],
  { nameOf, filesBetween }: ExplainOptions,
): KeyChange[] {
  switch (part) {
    case "base":
      return [{ part, message: explainBase(String(before), String(after), nameOf) }];
    case "content": {
      const files = filesBetween(String(before), String(after));
      if (files === undefined) return [{ part, message: "its files changed" }];
      const count = files.length === 1 ? "1 file" : `${files.length} files`;
      // Also the order of sources, or which of them a file came from, is part of what a COPY writes.
      const message = files.length === 0 ? "how its files are arranged changed" : `${count} changed`;
      return [{ part, message, files }];
    }
    case "args":
      return [{ part, message: "its command changed" }];
    case "files":
      return [{ part, message: "its heredoc changed" }];
    case "env":
      return [{ part, message: explainEnv(asList(before), asList(after)) }];
    case "mounts":
      return explainMounts(asList(before) as Mount[], asList(after) as Mount[], { nameOf, filesBetween });
    case "sources":
      return [{ part, message: "its sources changed" }];
    default:
      return [{ part, message: `its ${spell(part)} changed from ${show(before)} to ${show(after)}` }];
  }
}

function explainBase(before: string, after: string, nameOf: ExplainOptions["nameOf"]): string {
  const earlier = splitRecordIds(before);
  const now = splitRecordIds(after);
  const place = now.findIndex((id, at) => id !== earlier[at]);
  const image = /^image (.*)$/;
  const [from, to] = [image.exec(earlier[place] ?? "")?.[1], image.exec(now[place] ?? "")?.[1]];
  if (from !== undefined && to !== undefined) return `base image moved from ${from} to ${to}`;
  const name = nameOf(now[place] ?? "");
  return name === undefined ? "what it stands on changed" : `its input "${name}" changed`;
}

/** Names only: values may be long, or nobody's business. */
function explainEnv(before: readonly unknown[], after: readonly unknown[]): string {
  const read = (list: readonly unknown[]) =>
    new Map(list.map((text) => [String(text).split("=", 1)[0]!, String(text)]));
  const [one, other] = [read(before), read(after)];
  const names = [...new Set([...one.keys(), ...other.keys()])].filter(
    (name) => one.get(name) !== other.get(name),
  );
  if (names.length === 0) return "the order of its variables changed";
  return `${names.length === 1 ? "the variable" : "the variables"} ${names.join(", ")} changed`;
}

interface Mount {
  readonly type: string;
  readonly target?: string;
  readonly id?: string;
  readonly from?: string;
  readonly content?: string;
}

function explainMounts(
  before: readonly Mount[],
  after: readonly Mount[],
  { nameOf, filesBetween }: ExplainOptions,
): KeyChange[] {
  const key = ({ type, target, id }: Mount) => `${type} ${target ?? id ?? ""}`;
  const [one, other] = [new Map(before.map((m) => [key(m), m])), new Map(after.map((m) => [key(m), m]))];
  const changes: KeyChange[] = [];
  const add = (message: string, files?: readonly FileChange[]) =>
    changes.push({ part: "mounts", message, ...(files && { files }) });
  for (const name of new Set([...one.keys(), ...other.keys()])) {
    const [earlier, now] = [one.get(name), other.get(name)];
    if (isSame(earlier, now)) continue;
    if (earlier === undefined) add(`the ${name} mount is new`);
    else if (now === undefined) add(`the ${name} mount is gone`);
    else if (earlier.content !== now.content) {
      const areKnown = earlier.content !== undefined && now.content !== undefined;
      add(
        `the files of the ${name} mount changed`,
        areKnown ? filesBetween(earlier.content, now.content) : undefined,
      );
    } else if (earlier.from !== now.from)
      add(`the source of the ${name} mount, "${nameOf(now.from ?? "") ?? now.from}", changed`);
    else add(`the ${name} mount changed`);
  }
  if (changes.length === 0) add("the order of its mounts changed");
  return changes;
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** `workingDirectory`: `working directory`. */
function spell(part: string): string {
  return part.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function show(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}
