import type { AddInstruction, CopyInstruction, CopyItem } from "../dockerfile/instruction.ts";
import { parseGitReference } from "../dockerfile/parse-git-reference.ts";
import { BuildError } from "../errors/build-error.ts";
import { expandBodyIn, expandIn } from "./expand-in.ts";
import { baseName, cleanPath, joinDestination, leadsOut } from "./join-path.ts";
import type { CopySource, StepId } from "./plan.ts";
import { addContext, ignoresCache, type PlanContext, sourceStep } from "./plan-context.ts";
import type { Command } from "./stage-graph.ts";
import { addHistory, type StageState } from "./stage-state.ts";
import { displayLine, nameStep } from "./step-name.ts";

type Transfer = CopyInstruction | AddInstruction;

/** COPY and ADD: one step with one layer. Throws BuildError. */
export function applyCopy(context: PlanContext, state: StageState, command: Command): void {
  const instruction = command.instruction as Transfer;
  const expanded = expandTransfer(context, state, instruction);
  checkChmod(expanded.chmod);
  if (instruction.kind === "add") checkChecksum(expanded.sources, expanded.checksum);
  const text = displayLine(state, instruction.line, { escape: context.escape });
  const name = nameStep(context, state, { text, isTrigger: command.isTrigger });
  const makeSource = sourceMaker(context, state, { command, name, checksum: expanded.checksum });
  const sources = expanded.sources.map(makeSource);
  state.rootfs = context.steps.add({
    kind: "copy",
    instruction: instruction.kind === "add" ? "ADD" : "COPY",
    name,
    stage: state.node.label,
    platform: state.platform,
    span: instruction.span,
    ...(ignoresCache(context, state.node) ? { ignoreCache: true } : {}),
    base: state.rootfs,
    sources,
    destination: joinDestination(state.config.WorkingDir || "/", expanded.destination),
    chown: expanded.chown,
    chmod: expanded.chmod,
    link: instruction.link,
    parents: instruction.kind === "copy" && instruction.parents,
    exclude: instruction.exclude,
    ...(instruction.kind === "add" ? { unpack: instruction.unpack } : {}),
  });
  addHistory(state, historyText(instruction, expanded), false);
}

interface Expanded {
  readonly sources: readonly CopyItem[];
  readonly destination: string;
  readonly chown: string | undefined;
  readonly chmod: string | undefined;
  readonly checksum: string | undefined;
}

function expandTransfer(context: PlanContext, state: StageState, instruction: Transfer): Expanded {
  const expandOne = (word: string) => expandIn(state, word, context.escape);
  const expandFlag = (word: string | undefined) =>
    word === undefined ? undefined : expandOne(word) || undefined;
  return {
    chown: expandFlag(instruction.chown),
    chmod: expandFlag(instruction.chmod),
    checksum: instruction.kind === "add" ? expandFlag(instruction.checksum) : undefined,
    sources: instruction.sources.map((source): CopyItem => {
      if (source.kind === "path") return { kind: "path", path: expandOne(source.path) };
      if (!source.expand) return source;
      return { ...source, content: expandBodyIn(state, source.content) };
    }),
    destination: expandOne(instruction.destination),
  };
}

const SYMBOLIC_MODE = /^[ugoa]*(?:[-+=](?:[ugo]|[rwxXst]*))+(?:,[ugoa]*(?:[-+=](?:[ugo]|[rwxXst]*))+)*$/;

function checkChmod(chmod: string | undefined): void {
  if (chmod === undefined) return;
  const isOctal = /^[0-7]+$/.test(chmod) && Number.parseInt(chmod, 8) <= 0o7777;
  if (isOctal || SYMBOLIC_MODE.test(chmod)) return;
  throw new BuildError(
    "dockerfile-syntax",
    `Cannot use "--chmod=${chmod}": invalid chmod parameter: '${chmod}'. it should be octal string and between 0 and 07777`,
    { hint: "Write an octal mode like 0644, or a symbolic one like u=rw,go=r" },
  );
}

function checkChecksum(sources: readonly CopyItem[], checksum: string | undefined): void {
  if (checksum === undefined) return;
  const problem = checksumProblem(sources, checksum);
  if (problem === undefined) return;
  throw new BuildError("dockerfile-syntax", `Cannot use "--checksum=${checksum}": ${problem}`);
}

function checksumProblem(sources: readonly CopyItem[], checksum: string): string | undefined {
  const [source, ...others] = sources;
  if (source === undefined || others.length > 0) return "checksum can't be specified for multiple sources";
  if (source.kind === "path" && isGitSource(source.path)) return undefined;
  if (source.kind !== "path" || !isUrl(source.path)) return "checksum requires HTTP(S) or Git sources";
  return /^sha256:[0-9a-f]{64}$/.test(checksum) ? undefined : "it is not sha256: and 64 hex digits";
}

function isUrl(path: string): boolean {
  return path.startsWith("http://") || path.startsWith("https://");
}

function isGitSource(path: string): boolean {
  return parseGitReference(path)?.looksLocal === false;
}

interface SourceOptions {
  readonly command: Command;
  readonly name: string;
  readonly checksum: string | undefined;
}

/** Makes the parts of the step. The tree that paths are taken from becomes a step with the first path. */
function sourceMaker(context: PlanContext, state: StageState, options: SourceOptions) {
  const { instruction, sources } = options.command;
  let tree: StepId | undefined;
  const treeOf = (): StepId => {
    const [from] = sources;
    tree ??= from
      ? sourceStep(context, from, { verb: "copy from", stage: state.node })
      : addContext(context, "context");
    return tree;
  };
  // A source that does not exist is an error even when nothing but heredocs is copied.
  if (sources[0] !== undefined) treeOf();
  return (item: CopyItem): CopySource => {
    if (item.kind === "heredoc") return { kind: "inline", name: item.name, content: item.content };
    const { path } = item;
    const remote = remoteSource(context, state, { ...options, path });
    if (remote !== undefined) {
      if (instruction.kind === "add") return remote;
    }
    const parents = instruction.kind === "copy" && instruction.parents;
    const outside = leadsOut(path) ? { outside: path } : {};
    return { kind: "path", from: treeOf(), path: sourcePath(path, parents), ...outside };
  };
}

function remoteSource(
  context: PlanContext,
  state: StageState,
  { command, name, checksum, path }: SourceOptions & { readonly path: string },
): CopySource | undefined {
  const { instruction } = command;
  const common = {
    kind: "source",
    name,
    stage: state.node.label,
    platform: state.platform,
    span: instruction.span,
  } as const;
  const refuseForCopy = (what: string) => {
    if (instruction.kind === "add") return;
    throw new BuildError("dockerfile-syntax", `Cannot copy "${path}": source can't be a ${what} for COPY`, {
      hint: "Use ADD",
    });
  };
  const git = parseGitReference(path);
  if (git !== undefined && !git.looksLocal) {
    refuseForCopy("git ref");
    const keepGitDir = instruction.kind === "add" ? instruction.keepGitDir : undefined;
    if (keepGitDir !== undefined && git.keepGitDir !== undefined && keepGitDir !== git.keepGitDir) {
      throw new BuildError(
        "dockerfile-syntax",
        `Cannot add "${path}": inconsistent keep-git-dir configuration`,
      );
    }
    if (checksum !== undefined && git.checksum !== undefined && checksum !== git.checksum) {
      throw new BuildError(
        "dockerfile-syntax",
        `Cannot add "${path}": checksum mismatch "${checksum}" != "${git.checksum}"`,
      );
    }
    const from = context.steps.add({
      ...common,
      source: {
        kind: "git",
        url: path,
        keepGitDir: keepGitDir ?? git.keepGitDir ?? false,
        checksum: checksum ?? git.checksum,
      },
    });
    return { kind: "remote", from, path: "/" };
  }
  if (!isUrl(path)) return undefined;
  refuseForCopy("URL");
  const from = context.steps.add({ ...common, source: { kind: "http", url: path, checksum } });
  return { kind: "remote", from, path: `/${downloadName(path)}` };
}

/** The name of a downloaded file: the last part of the URL's path. */
function downloadName(url: string): string {
  try {
    const name = baseName(decodeURIComponent(new URL(url).pathname));
    return name === "/" ? UNNAMED : name;
  } catch {
    return UNNAMED;
  }
}

const UNNAMED = "__unnamed__";

/** Absolute in its tree; a trailing slash stays, and so does the pivot `/./` of `--parents`. */
function sourcePath(path: string, parents: boolean): string {
  const pivot = parents ? path.indexOf("/./") : -1;
  if (pivot >= 0) {
    const before = cleanPath(path.slice(0, pivot));
    return `${before === "/" ? "" : before}/.${sourcePath(path.slice(pivot + 2), false)}`;
  }
  const clean = cleanPath(path);
  return path.endsWith("/") && clean !== "/" ? `${clean}/` : clean;
}

function historyText(instruction: Transfer, expanded: Expanded): string {
  const paths = expanded.sources.flatMap((source) => (source.kind === "path" ? [source.path] : []));
  const heredocs = expanded.sources.flatMap((source) =>
    source.kind === "heredoc" ? [`<<${source.name}`] : [],
  );
  return [
    instruction.kind.toUpperCase(),
    ...(instruction.kind === "copy" && instruction.parents ? ["--parents"] : []),
    ...(expanded.chown === undefined ? [] : [`--chown=${expanded.chown}`]),
    ...(expanded.chmod === undefined ? [] : [`--chmod=${expanded.chmod}`]),
    ...paths,
    ...heredocs,
    expanded.destination,
    "# buildkit",
  ].join(" ");
}
