import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import { heredocText, parseHeredocWord } from "./heredoc.ts";
import type {
  AddInstruction,
  ArgDefinition,
  CommandLine,
  CopyInstruction,
  CopyItem,
  InlineFile,
  Instruction,
  InstructionCommon,
  OnbuildInstruction,
  PairsInstruction,
  RunInstruction,
} from "./instruction.ts";
import { trimSpaces } from "./is-space.ts";
import { lowerHealthcheck } from "./lower-healthcheck.ts";
import { parseMount } from "./mount.ts";
import { parseCsv } from "./parse-csv.ts";
import { type FlagKind, parseFlags } from "./parse-flags.ts";
import { shorten } from "./shorten.ts";
import type { SyntaxNode } from "./syntax-tree.ts";

/** Every keyword, in capitals. */
const INSTRUCTION_NAMES: readonly string[] =
  "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR".split(
    " ",
  );

/**
 * Checks one instruction and gives it its type. FROM is for `lowerInstructions`.
 *
 * @throws BuildError `dockerfile-syntax`.
 */
export function lowerInstruction(node: SyntaxNode): Instruction {
  const name = node.keyword.toUpperCase();
  const { keyword, comments, span } = node;
  const common = { keyword, line: trimSpaces(node.line), comments, span };
  switch (name) {
    case "RUN":
      return { ...common, kind: "run", ...lowerRun(node) };
    case "COPY":
      return { ...common, kind: "copy", ...lowerCopy(node) };
    case "ADD":
      return { ...common, kind: "add", ...lowerAdd(node) };
    case "ARG":
      return { ...common, kind: "arg", args: lowerArgs(node) };
    case "ENV":
    case "LABEL":
      return { ...common, kind: name === "ENV" ? "env" : "label", pairs: lowerPairs(node) };
    case "CMD":
    case "ENTRYPOINT":
      noFlags(node);
      return { ...common, kind: name === "CMD" ? "cmd" : "entrypoint", command: lowerCommand(node) };
    case "HEALTHCHECK":
      return { ...common, kind: "healthcheck", healthcheck: lowerHealthcheck(node) };
    case "SHELL":
      return { ...common, kind: "shell", shell: lowerShell(node) };
    case "USER":
      return { ...common, kind: "user", user: oneArgument(node) };
    case "WORKDIR":
      return { ...common, kind: "workdir", path: oneArgument(node) };
    case "STOPSIGNAL":
      return { ...common, kind: "stopsignal", signal: oneArgument(node) };
    case "MAINTAINER":
      return { ...common, kind: "maintainer", author: oneArgument(node) };
    case "VOLUME":
      return { ...common, kind: "volume", volumes: lowerVolumes(node) };
    case "EXPOSE":
      noFlags(node);
      return { ...common, kind: "expose", ports: atLeastOne(node).toSorted(compareBytes) };
    case "ONBUILD":
      return { ...common, kind: "onbuild", expression: lowerOnbuild(node) };
    default:
      throw unknownInstruction(node.keyword);
  }
}

/** The error for a keyword that does not exist. */
function unknownInstruction(keyword: string): BuildError {
  const shown = shorten(keyword, 40);
  return new BuildError("dockerfile-syntax", `Cannot parse "${shown}": unknown instruction: ${shown}`, {
    hint: hintNearest(keyword, INSTRUCTION_NAMES),
  });
}

/** The error for an instruction that breaks a rule of its own. */
export function badInstruction(node: SyntaxNode, problem: string, hint?: string): BuildError {
  const keyword = node.keyword.toUpperCase();
  return new BuildError("dockerfile-syntax", `Cannot parse "${keyword}": ${problem}`, { hint });
}

/** What the comments above say about a name: the rest of the line that begins with it. */
export function describe(comments: readonly string[], name: string): string | undefined {
  return comments.find((comment) => comment.startsWith(`${name} `))?.slice(name.length + 1);
}

function compareBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function noFlags(node: SyntaxNode): void {
  parseFlags(node.keyword.toUpperCase(), node.flags, {});
}

function atLeastOne(node: SyntaxNode): readonly string[] {
  if (node.arguments.length > 0) return node.arguments;
  throw badInstruction(node, `${node.keyword.toUpperCase()} requires at least one argument`);
}

function oneArgument(node: SyntaxNode): string {
  noFlags(node);
  if (node.arguments.length === 1) return node.arguments[0]!;
  throw badInstruction(node, `${node.keyword.toUpperCase()} requires exactly one argument`);
}

function lowerCommand(node: SyntaxNode): CommandLine {
  return node.isJson
    ? { form: "exec", args: node.arguments }
    : { form: "shell", text: node.arguments.join(" ") };
}

function inlineFiles(node: SyntaxNode): readonly InlineFile[] {
  return node.heredocs.map((heredoc) => ({
    name: heredoc.name,
    content: heredocText(heredoc),
    rawContent: heredoc.content,
    expand: heredoc.expand,
  }));
}

function lowerRun(node: SyntaxNode): Omit<RunInstruction, keyof InstructionCommon | "kind"> {
  const flags = parseFlags("RUN", node.flags, {
    mount: "list",
    network: "text",
    security: "text",
    device: "list",
  });
  const choose = <Value extends string>(name: string, allowed: readonly [Value, ...Value[]]): Value => {
    const value = flags.text(name) ?? allowed[0];
    const found = allowed.find((candidate) => candidate === value);
    if (found !== undefined) return found;
    throw badInstruction(
      node,
      `${name} "${value}" is not supported`,
      hintNearest(value, allowed) ?? `Use one of ${allowed.join(", ")}`,
    );
  };
  return {
    command: lowerCommand(node),
    heredocs: inlineFiles(node),
    mounts: flags.list("mount").map(parseMount),
    network: choose("network", ["default", "none", "host"]),
    security: choose("security", ["sandbox", "insecure"]),
    devices: flags.list("device").map((value) => parseDevice(node, value)),
  };
}

/** `name[,required]`, also written `name=NAME,required=true`. */
function parseDevice(node: SyntaxNode, text: string): { name: string; required: boolean } {
  let name: string | undefined;
  let required = false;
  for (const field of parseCsv(text)) {
    const [key, value] = field.split(/=(.*)/s, 2);
    if (key === "name" && value !== undefined) name = value;
    else if (key === "required") required = value === undefined || /^(?:1|t|true)$/i.test(value);
    else if (field.includes("=") && name !== undefined)
      throw badInstruction(node, `unexpected key '${key}' in --device`);
    else if (name === undefined) name = field;
    else throw badInstruction(node, `unexpected field '${field}' in --device`);
  }
  if (!name) throw badInstruction(node, "--device needs the name of a device");
  return { name, required };
}

const TRANSFER_FLAGS = { chown: "text", chmod: "text", link: "switch", exclude: "list" } as const;

function lowerTransfer(node: SyntaxNode, more: Readonly<Record<string, FlagKind>>) {
  const name = node.keyword.toUpperCase();
  if (node.arguments.length < 2) {
    throw badInstruction(
      node,
      `${name} requires at least two arguments, but only one was provided. Destination could not be determined`,
    );
  }
  const flags = parseFlags(name, node.flags, { ...TRANSFER_FLAGS, ...more });
  const destination = node.arguments.at(-1)!;
  if (isHeredocWord(destination))
    throw badInstruction(node, `${name} cannot accept a heredoc as a destination`);
  const unread = [...inlineFiles(node)];
  const sources = node.arguments.slice(0, -1).map((path): CopyItem => {
    const wanted = isHeredocWord(path) ? parseHeredocWord(path)?.name : undefined;
    const index = unread.findIndex((file) => file.name === wanted);
    if (index < 0) return { kind: "path", path };
    return { kind: "heredoc", ...unread.splice(index, 1)[0]! };
  });
  const common = {
    sources,
    destination,
    chown: flags.text("chown"),
    chmod: flags.text("chmod"),
    link: flags.isOn("link") ?? false,
    exclude: flags.list("exclude"),
  };
  return { flags, common };
}

function isHeredocWord(word: string): boolean {
  if (!word.includes("<<")) return false;
  try {
    return parseHeredocWord(word) !== undefined;
  } catch {
    // An unfinished quote: it is a path.
    return false;
  }
}

function lowerCopy(node: SyntaxNode): Omit<CopyInstruction, keyof InstructionCommon | "kind"> {
  const { flags, common } = lowerTransfer(node, { from: "text", parents: "switch" });
  return { ...common, from: flags.text("from"), parents: flags.isOn("parents") ?? false };
}

function lowerAdd(node: SyntaxNode): Omit<AddInstruction, keyof InstructionCommon | "kind"> {
  const { flags, common } = lowerTransfer(node, {
    "keep-git-dir": "switch",
    checksum: "text",
    unpack: "switch",
  });
  return {
    ...common,
    keepGitDir: flags.isOn("keep-git-dir"),
    checksum: flags.text("checksum"),
    unpack: flags.isOn("unpack"),
  };
}

function lowerArgs(node: SyntaxNode): readonly ArgDefinition[] {
  noFlags(node);
  return atLeastOne(node).map((word) => {
    const equals = word.indexOf("=");
    if (equals === 0) throw badInstruction(node, "ARG names can not be blank");
    const name = equals < 0 ? word : word.slice(0, equals);
    const value = equals < 0 ? undefined : word.slice(equals + 1);
    return { name, value, description: describe(node.comments, name) };
  });
}

function lowerPairs(node: SyntaxNode): PairsInstruction["pairs"] {
  const name = node.keyword.toUpperCase();
  noFlags(node);
  const pairs = node.pairs ?? [];
  if (pairs.length === 0) throw badInstruction(node, `${name} requires at least one argument`);
  if (pairs.some(({ key }) => key === "")) throw badInstruction(node, `${name} names can not be blank`);
  return pairs;
}

function lowerShell(node: SyntaxNode): readonly string[] {
  noFlags(node);
  if (atLeastOne(node).length > 0 && node.isJson) return node.arguments;
  throw badInstruction(
    node,
    "SHELL requires the arguments to be in JSON form",
    'Write SHELL ["/bin/sh", "-c"]',
  );
}

function lowerVolumes(node: SyntaxNode): readonly string[] {
  noFlags(node);
  return atLeastOne(node).map((volume) => {
    const trimmed = trimSpaces(volume);
    if (trimmed === "") throw badInstruction(node, "VOLUME specified can not be an empty string");
    return trimmed;
  });
}

function lowerOnbuild(node: SyntaxNode): OnbuildInstruction["expression"] {
  noFlags(node);
  const trigger = node.trigger?.keyword.toUpperCase();
  if (trigger === undefined) throw badInstruction(node, "ONBUILD requires at least one argument");
  if (trigger === "ONBUILD")
    throw badInstruction(node, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (trigger === "MAINTAINER" || trigger === "FROM") {
    throw badInstruction(node, `${trigger} isn't allowed as an ONBUILD trigger`);
  }
  const expression = node.line.replace(/^\s*ONBUILD\s*/i, "");
  return expression + node.heredocs.map(({ name, content }) => `\n${content}${name}`).join("");
}
