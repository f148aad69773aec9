import { suggestNearest } from "../errors/suggest-nearest.ts";
import type { RunStep } from "../plan/plan.ts";
import type { Layer } from "../rootfs/layer.ts";
import { baseName, joinPath, pathFromText, ROOT } from "../rootfs/rootfs-path.ts";
import { openUnionTree, type UnionTree } from "../rootfs/union-tree.ts";
import { architectureOf, hintForeign } from "../sandbox/check-binfmt.ts";
import type { ContainerExit } from "../sandbox/holder-protocol.ts";

export interface FailedCommand {
  readonly step: Pick<RunStep, "args" | "env" | "platform" | "workingDirectory">;
  readonly exit: ContainerExit;
  readonly logTail: readonly string[];
  /** What the command stood on. */
  readonly layers: readonly Layer[];
}

/** What to do about a command that failed, where its output and the image's files tell why; else undefined. */
export function hintExit(failed: FailedCommand): string | undefined {
  const { step, exit, logTail, layers } = failed;
  const lines = [exit.runtimeMessage ?? "", ...logTail];
  using tree = openUnionTree(layers);
  for (const name of findSuspects(failed, lines)) {
    const hint = name.includes("/") ? hintFile(tree, name, step) : hintName(tree, name, step);
    if (hint !== undefined) return hint;
  }
  // Where handlers cannot be seen, the command is tried.
  if (lines.some((line) => /exec format error/i.test(line))) return hintForeign(step.platform);
  return exit.isOffline && exit.runtimeMessage === undefined
    ? "This machine has no default route, so the command had no network but its own loopback"
    : undefined;
}

/** How shells and runtimes call what they could not start; the name stands in front. */
const REFUSALS = [
  // A shell that reads a program as if it were a script.
  /^(\/[^\s:]+): line \d+: .*(?:not found|syntax error)/,
  /([^\s:`]+): (?:command )?not found$/,
  /([^\s:`]+): (?:cannot execute|exec format error)/i,
  /([^\s:`]+): [^:]+: bad interpreter/,
  /executable file `([^`]+)` not found/,
  /exec container process[^`]*`([^`]+)`/,
];

function findSuspects({ step, exit }: FailedCommand, lines: readonly string[]): readonly string[] {
  const named = lines.flatMap((line) => REFUSALS.flatMap((pattern) => pattern.exec(line)?.[1] ?? []));
  const started = exit.runtimeMessage === undefined ? [] : [step.args[0] ?? ""];
  return [...new Set([...named, ...started])].filter((name) => /^[\w./+@~-]+$/.test(name));
}

/** Enough for the first line of a script, and for an ELF header with the name of its loader. */
const HEAD_SIZE = 4096;

function hintFile(tree: UnionTree, name: string, step: FailedCommand["step"]): string | undefined {
  const head = readHead(tree, resolveName(name, step));
  if (head === undefined) return hintShell(tree, name, step);
  const [line = ""] = head.toString("latin1").split("\n", 1);
  if (line.startsWith("#!")) {
    const interpreter = /^#! *([^ \r]+)/.exec(line)?.[1] ?? "";
    if (line.endsWith("\r")) {
      return `"${name}" has Windows line ends (CRLF), so its interpreter is looked for as "${interpreter}\\r". Save it with LF: "*.sh text eol=lf" in .gitattributes keeps it so`;
    }
    return isThere(tree, interpreter)
      ? undefined
      : `"${name}" asks for the interpreter "${interpreter}", which the image does not have`;
  }
  const architecture = architectureOf(head);
  if (architecture === undefined) return undefined;
  if (architecture !== step.platform.architecture) {
    return `"${name}" is a program for ${architecture}, and the stage is for ${step.platform.architecture}`;
  }
  const loader = /\/[^\0]*\/ld-[^\0]+/.exec(head.toString("latin1"))?.[0];
  return loader === undefined || isThere(tree, loader)
    ? undefined
    : `"${name}" needs the loader "${loader}", which the image does not have: it was made for another C library. Link it statically, or use a base that has it`;
}

/** The shell of a command in shell form. */
function hintShell(tree: UnionTree, name: string, { args }: FailedCommand["step"]): string | undefined {
  if (name !== args[0] || args[1] !== "-c") return undefined;
  if (isThere(tree, "/bin/sh"))
    return `The image has no "${name}", but it has /bin/sh: install the one, or use the other`;
  return 'The image has no shell: write the command as RUN ["/path/to/program", "argument"], or run it in another stage and COPY its result';
}

/** A command that is in no directory of PATH. */
function hintName(tree: UnionTree, name: string, { env }: FailedCommand["step"]): string {
  const path = env.findLast((variable) => variable.startsWith("PATH="))?.slice("PATH=".length) ?? "";
  const names = path.split(":").flatMap((directory) => listNames(tree, directory));
  const nearest = suggestNearest(name, names);
  const what = `No directory of PATH has "${name}"`;
  return nearest === undefined || nearest === name
    ? `${what}: install it in a RUN before, or COPY it from another stage`
    : `${what}. Did you mean "${nearest}"?`;
}

function resolveName(name: string, { workingDirectory }: FailedCommand["step"]): string {
  return name.startsWith("/") ? name : `${workingDirectory}/${name}`;
}

function find(tree: UnionTree, path: string) {
  return tree.resolve(joinPath(ROOT, pathFromText(path)), { followLast: true });
}

function isThere(tree: UnionTree, path: string): boolean {
  return find(tree, path).entry !== undefined;
}

function readHead(tree: UnionTree, path: string): Buffer | undefined {
  const { entry } = find(tree, path);
  if (entry?.entry.type !== "file") return undefined;
  for (const chunk of tree.read(entry)) return Buffer.from(chunk.subarray(0, HEAD_SIZE));
  return Buffer.alloc(0);
}

function listNames(tree: UnionTree, directory: string): string[] {
  const { path, entry } = find(tree, directory);
  if (entry?.entry.type !== "directory") return [];
  return [...tree.list(path)].map((child) => baseName(child.entry.path));
}
