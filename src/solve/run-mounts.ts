import { createHash } from "node:crypto";
import { chmod, chown, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import type { RunMount, RunStep } from "../plan/plan.ts";
import type { MemoryFile } from "../sandbox/holder-protocol.ts";
import type { ContainerOptions } from "../sandbox/run-container.ts";
import type { SolveContext } from "./solve-plan.ts";

export interface RunMounts {
  readonly mounts: ContainerOptions["mounts"];
  readonly memoryFiles: readonly MemoryFile[];
  /** `NAME=value` of secrets that are asked for as variables. */
  readonly env: readonly string[];
}

type Mounts = {
  [Field in keyof RunMounts]: RunMounts[Field] extends readonly (infer Item)[] ? Item[] : never;
};

/** What a RUN's `--mount`s and heredoc files come to for the sandbox. */
export async function makeRunMounts(step: RunStep, context: SolveContext): Promise<RunMounts> {
  const result: Mounts = { mounts: [], memoryFiles: [], env: [] };
  for (const mount of step.mounts) await addMount(mount, context, result);
  for (const { path, content, mode } of step.files ?? []) {
    const file = {
      name: `file-${result.memoryFiles.length}`,
      content: Buffer.from(content),
      mode,
      uid: 0,
      gid: 0,
    };
    addMemoryFile(result, file, path);
  }
  return result;
}

async function addMount(mount: RunMount, context: SolveContext, result: Mounts): Promise<void> {
  switch (mount.type) {
    case "tmpfs": {
      const size = mount.sizeBytes === undefined ? [] : [`size=${mount.sizeBytes}`];
      const options = ["nosuid", "nodev", "mode=1777", ...size];
      result.mounts.push({
        kind: "directory",
        destination: mount.target,
        type: "tmpfs",
        source: "tmpfs",
        options,
      });
      return;
    }
    case "cache": {
      if (mount.from !== undefined) throw notYet("a cache mount with from=");
      if (mount.sharing !== "shared") throw notYet(`a cache mount with sharing=${mount.sharing}`);
      const options = ["bind", mount.readOnly ? "ro" : "rw"];
      const source = await openCacheDirectory(mount, context);
      result.mounts.push({ kind: "directory", destination: mount.target, type: "bind", source, options });
      return;
    }
    case "secret":
      addSecret(mount, context, result);
      return;
    case "bind":
    case "ssh":
      throw notYet(`a ${mount.type} mount`);
  }
}

function addSecret(
  mount: Extract<RunMount, { type: "secret" }>,
  context: SolveContext,
  result: Mounts,
): void {
  const content = context.secrets.get(mount.id);
  if (content === undefined && mount.required) {
    throw new BuildError(
      "option-invalid",
      `Cannot mount the secret "${mount.id}": the build was given no secret with that id`,
      {
        hint: `Give it with --secret id=${mount.id},src=FILE`,
      },
    );
  }
  if (mount.env !== undefined) result.env.push(`${mount.env}=${Buffer.from(content ?? "").toString("utf8")}`);
  if (content === undefined || mount.target === undefined) return;
  const { mode, uid, gid } = mount;
  addMemoryFile(
    result,
    { name: `secret-${result.memoryFiles.length}`, content, mode, uid, gid },
    mount.target,
  );
}

function addMemoryFile(result: Mounts, file: MemoryFile, destination: string): void {
  result.memoryFiles.push(file);
  const options = ["bind", "ro", "nosuid", "nodev"];
  result.mounts.push({ kind: "file", destination, type: "bind", source: `memory:${file.name}`, options });
}

/** The directory lives as long as the store: builds share it by id. Ids may hold anything, so its name is a digest. */
async function openCacheDirectory(
  { id, mode, uid, gid }: Extract<RunMount, { type: "cache" }>,
  { access: { store } }: SolveContext,
): Promise<string> {
  const directory = join(store.root, "cache-mounts", createHash("sha256").update(id).digest("hex"));
  await mkdir(join(store.root, "cache-mounts"), { recursive: true, mode: 0o700 });
  const made = await mkdir(directory, { recursive: true });
  if (made !== undefined) {
    await chown(directory, uid, gid);
    await chmod(directory, mode);
  }
  return directory;
}

function notYet(what: string): BuildError {
  return new BuildError("unsupported", `Cannot run with ${what}: it is not there yet`);
}
