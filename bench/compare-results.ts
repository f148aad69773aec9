import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { measureCommands } from "./measure-commands.ts";
import type { BuildRequest, Tool } from "./tool.ts";

/** What decides how an image runs. */
const CONFIG_FIELDS = ["Env", "Cmd", "Entrypoint", "WorkingDir", "User", "ExposedPorts", "Volumes", "Labels"];

/** docker 20.10 leaves the mount points of a RUN behind in an image that lacks them; later ones do not. */
const MOUNT_POINT = /^(?:dev|proc|sys)\td 755 0:0 $/;

/** Every path with type, mode, owner, link target and, for files, size and digest; times are not compared. */
const LIST_TREE = `
find . -mindepth 1 -printf '%P\\t%y %m %U:%G %l\\n' | LC_ALL=C sort
find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
`;

/**
 * A row is not won by doing less: the files and the config of what both tools have just built must be the same. Throws with the
 * first differences.
 */
export async function compareResults(
  directory: string,
  [ours, theirs]: readonly [Tool, Tool],
  build: (tool: Tool) => BuildRequest,
): Promise<void> {
  const results = [];
  for (const tool of [ours, theirs]) {
    const config = await tool.readConfig(build(tool).tag);
    results.push({
      config: Object.fromEntries(CONFIG_FIELDS.map((name) => [name, emptyToNull(config[name])])),
      tree: await listTree(directory, tool, build(tool)),
    });
  }
  const [a, b] = results;
  if (!isDeepStrictEqual(a!.config, b!.config)) {
    throw new Error(
      `the configs differ:\n${ours.name} ${JSON.stringify(a!.config)}\n${theirs.name} ${JSON.stringify(b!.config)}`,
    );
  }
  const before = new Set(b!.tree);
  const after = new Set(a!.tree);
  const differences = [
    ...a!.tree.filter((line) => !before.has(line)).map((line) => `${ours.name}: ${line}`),
    ...b!.tree.filter((line) => !after.has(line)).map((line) => `${theirs.name}: ${line}`),
  ];
  if (differences.length > 0) {
    throw new Error(`${differences.length} files differ:\n${differences.slice(0, 10).join("\n")}`);
  }
}

async function listTree(directory: string, tool: Tool, build: BuildRequest): Promise<string[]> {
  const work = mkdtempSync(join(directory, "compare-"));
  try {
    const tar = join(work, "tree.tar");
    const tree = join(work, "tree");
    mkdirSync(tree);
    await measureCommands(tool, [tool.exportTree!(build, tar)]);
    execFileSync("tar", ["--numeric-owner", "-xpf", tar, "-C", tree]);
    const options = { cwd: tree, encoding: "utf8", maxBuffer: 2 ** 30 } as const;
    const lines = execFileSync("sh", ["-c", LIST_TREE], options).split("\n");
    return lines.filter((line) => !MOUNT_POINT.test(line));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function emptyToNull(value: unknown): unknown {
  const isEmpty =
    value === undefined ||
    value === "" ||
    (typeof value === "object" && Object.keys(value ?? {}).length === 0);
  return isEmpty ? null : value;
}
