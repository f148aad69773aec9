import type { Target } from "../dockerfile/list-targets.ts";
import type { SourceSpan } from "../errors/build-error.ts";
import { type BuildOptions, checkBuild, type Outline, readOutline, readTargets } from "../index.ts";
import type { CommandContext } from "./command-context.ts";
import { formatFinding, type NamedText } from "./format-findings.ts";
import { formatTable, type TableLayout } from "./format-table.ts";
import type { Call } from "./parse-call.ts";
import { shortPath } from "./short-path.ts";

/** Answers a question about a build in place of building, on stdout; the JSON is BuildKit's. Findings give exit status 1. */
export async function runCall(
  call: Call & { readonly method: "check" | "outline" | "targets" },
  options: BuildOptions,
  context: CommandContext,
): Promise<void> {
  switch (call.method) {
    case "check":
      return runCheck(call, options, context);
    case "outline": {
      const { dockerfile, outline } = await readOutline(options);
      const text = call.isJson ? toJson(outlineJson(outline, dockerfile)) : formatOutline(outline);
      context.stdout.write(text);
      return;
    }
    case "targets": {
      const { dockerfile, targets } = await readTargets(options);
      const text = call.isJson ? toJson(targetsJson(targets, dockerfile)) : formatTargets(targets);
      context.stdout.write(text);
    }
  }
}

async function runCheck(
  { isJson, ignoresStatus }: Call,
  options: BuildOptions,
  { stdout, setStatus }: CommandContext,
): Promise<void> {
  const { dockerfile, warnings, error } = await checkBuild(options);
  if (warnings.length > 0 && !ignoresStatus) setStatus(1);
  if (isJson) {
    const found = warnings.map(({ rule, description, url, detail, span }) => ({
      ruleName: rule,
      description,
      url,
      detail,
      location: locate(span),
    }));
    const source = {
      filename: shortPath(dockerfile.file),
      data: Buffer.from(dockerfile.bytes).toString("base64"),
      language: "Dockerfile",
    };
    const buildError = error && {
      message: error.message,
      location: error.span === undefined ? {} : locate(error.span),
    };
    stdout.write(toJson({ warnings: found, sources: [source], ...(buildError && { buildError }) }));
    if (error !== undefined) throw error;
    return;
  }
  const shown = nameText(dockerfile);
  if (warnings.length > 0) {
    const count = warnings.length === 1 ? "1 warning has" : `${warnings.length} warnings have`;
    stdout.write(`Check complete, ${count} been found!\n`);
    for (const warning of warnings) stdout.write(formatFinding(warning, shown));
  }
  if (error !== undefined) throw error;
  if (warnings.length === 0) stdout.write("Check complete, no warnings found.\n");
}

/** A Dockerfile with the name that people know it by. */
export function nameText({ file, bytes }: { readonly file: string; readonly bytes: Uint8Array }): NamedText {
  return {
    name: shortPath(file),
    text: Buffer.from(bytes)
      .toString("utf8")
      .replace(/^\uFEFF/, ""),
  };
}

type Targets = readonly Target[];

function formatTargets(targets: Targets): string {
  const rows = targets.map(({ name, description, isDefault }) => [
    [name, ...(isDefault ? ["(default)"] : [])].filter(Boolean).join(" "),
    description ?? "",
  ]);
  return formatTable([["TARGET", "DESCRIPTION"], ...rows], { minWidth: 0, gap: 1 });
}

/** BuildKit's tables: these lie closer than docker's. */
const OUTLINE_TABLE: TableLayout = { minWidth: 0, gap: 3 };

/** An empty line follows each part, as BuildKit has it. */
function formatOutline({ name, description, args, secrets, ssh }: Outline): string {
  const parts: string[] = [];
  if (name !== undefined || description) {
    const rows = [["TARGET:", name ?? "(default)"], ...(description ? [["DESCRIPTION:", description]] : [])];
    parts.push(formatTable(rows, { minWidth: 0, gap: 1 }));
  }
  if (args.length > 0) {
    const rows = args.map((arg) => [arg.name, arg.value, arg.description ?? ""]);
    parts.push(formatTable([["BUILD ARG", "VALUE", "DESCRIPTION"], ...rows], OUTLINE_TABLE));
  }
  for (const [title, items] of [
    ["SECRET", secrets],
    ["SSH", ssh],
  ] as const) {
    if (items.length === 0) continue;
    const rows = items.map(({ id, required }) => [id, required ? "true" : ""]);
    parts.push(formatTable([[title, "REQUIRED"], ...rows], OUTLINE_TABLE));
  }
  return parts.map((part) => `${part}\n`).join("");
}

interface Bytes {
  readonly bytes: Uint8Array;
}

function targetsJson(targets: Targets, { bytes }: Bytes) {
  return {
    targets: targets.map(({ isDefault, span, ...rest }) => ({
      ...dropEmpty({ ...rest, default: isDefault }),
      location: locate(span),
    })),
    sources: [Buffer.from(bytes).toString("base64")],
  };
}

function outlineJson({ name, description, args, secrets, ssh }: Outline, { bytes }: Bytes) {
  const mounts = (items: Outline["secrets"]) =>
    items.map(({ id, required, span }) => ({
      ...dropEmpty({ name: id, required }),
      ...(span && { location: locate(span) }),
    }));
  return {
    ...dropEmpty({ name, description }),
    ...(args.length > 0 && {
      args: args.map(({ span, ...arg }) => ({ ...dropEmpty(arg), location: locate(span) })),
    }),
    ...(secrets.length > 0 && { secrets: mounts(secrets) }),
    ...(ssh.length > 0 && { ssh: mounts(ssh) }),
    sources: [Buffer.from(bytes).toString("base64")],
  };
}

/** Go leaves out what is empty. */
function dropEmpty(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => Boolean(value)));
}

/** BuildKit's form of a place: lines only. */
export function locate({ startLine, endLine }: SourceSpan) {
  return { ranges: [{ start: { line: startLine }, end: { line: endLine } }] };
}

function toJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
