import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync } from "node:fs";
import { join } from "node:path";

const ROOT = "/sys/fs/cgroup";

/**
 * All cgroups of slipway are below this name: in the root, or in what `--cgroup-parent` says. It stays when it is empty: another
 * build's runtime may be about to make its own in it.
 */
const OWN = "slipway";

/** How deep below a hierarchy's root a `--cgroup-parent` is found again after its build was killed. */
const PARENT_DEPTH = 2;

let count = 0;

/** The place of a build's cgroups below each parent. What the runtimes leave of it goes when it is disposed. */
export interface BuildCgroup extends Disposable {
  /** The path of a command's cgroup, absolute in each hierarchy. */
  pathOf(id: string, parent?: string): string;
}

/**
 * Names this process in the path, by its pid namespace, pid and start time, and removes what processes that live no more
 * have left.
 */
export function openBuildCgroup(): BuildCgroup {
  for (const directory of findOwnDirectories()) {
    for (const name of listDirectories(directory)) if (isDead(name)) removeTree(join(directory, name));
  }
  const owner = `${ownerName(process.pid) ?? `0-${process.pid}-0`}-${count++}`;
  const parents = new Set<string>();
  return {
    pathOf(id, parent = "/") {
      parents.add(parent);
      return join("/", parent, OWN, owner, id);
    },
    [Symbol.dispose]() {
      for (const hierarchy of findHierarchies()) {
        for (const parent of parents) removeTree(join(hierarchy, parent, OWN, owner));
      }
    },
  };
}

/** The one of cgroup v2, or one of each controller of v1. */
function findHierarchies(): string[] {
  return [ROOT, ...listDirectories(ROOT).map((name) => join(ROOT, name))].filter((path) =>
    existsSync(join(path, "cgroup.procs")),
  );
}

function findOwnDirectories(): string[] {
  let level = findHierarchies();
  const found: string[] = [];
  for (let depth = 0; depth <= PARENT_DEPTH; depth++) {
    found.push(...level.map((path) => join(path, OWN)).filter(existsSync));
    level = level.flatMap((path) => listDirectories(path).map((name) => join(path, name)));
  }
  return found;
}

function ownerName(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // Field 22 of proc(5); the command's name may hold spaces and brackets.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : `${readPidNamespace()}-${pid}-${fields[19]}`;
  } catch {
    return undefined;
  }
}

/** Pids of another namespace mean nothing here: only an owner from there can say. */
function isDead(name: string): boolean {
  const [namespace, pid, startTime] = name.split("-");
  return namespace === readPidNamespace() && ownerName(Number(pid)) !== `${namespace}-${pid}-${startTime}`;
}

function readPidNamespace(): string {
  return /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? "0";
}

function listDirectories(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((item) => item.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

/** The files of a cgroup are the kernel's: only directories are removed, the innermost first. */
function removeTree(path: string): void {
  for (const name of listDirectories(path)) removeTree(join(path, name));
  removeQuietly(path);
}

/** What is in use or gone already stays as it is. */
function removeQuietly(path: string): void {
  try {
    rmdirSync(path);
  } catch {}
}
