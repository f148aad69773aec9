import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { alpineChanges, makeAlpineRoot } from "./bases/make-alpine-root.ts";
import { golangChanges, makeGolangRoot } from "./bases/make-golang-root.ts";
import { makeNginxRoot, nginxChanges } from "./bases/make-nginx-root.ts";
import { unpackDebianPackages } from "./bases/unpack-debian-packages.ts";

/** A stand-in for an image of Docker Hub, made from Debian packages: a root file system and how to import it. */
export interface BaseImage {
  /** `golang:1.7.3` */
  readonly name: string;
  readonly tarPath: string;
  /** Dockerfile instructions for `import --change`. */
  readonly changes: readonly string[];
}

const repository = resolve(import.meta.dirname, "..");
const cache = join(repository, ".cache/bases");
const slipway = join(repository, "bin/slipway");

const RECIPES = [
  { name: "golang:1.7.3", makeRoot: makeGolangRoot, changes: golangChanges },
  { name: "alpine:latest", makeRoot: makeAlpineRoot, changes: alpineChanges },
  { name: "nginx:latest", makeRoot: makeNginxRoot, changes: nginxChanges },
];

/** Debian packages that making them takes. */
export const basePackages = ["mmdebstrap", "xz-utils"];

/**
 * Makes the stand-ins' root file systems, or finds those of an earlier call in `.cache/bases`. Takes half a minute and
 * Debian's mirror the first time. Processes that call at once wait for the first.
 */
export async function makeBaseTars(tell: (line: string) => void = () => {}): Promise<BaseImage[]> {
  const directory = join(cache, hashRecipes());
  const images = RECIPES.map(({ name, changes }) => ({
    name,
    changes,
    tarPath: join(directory, `${name.replace(":", "-")}.tar`),
  }));
  mkdirSync(cache, { recursive: true });
  await withLock(`${directory}.lock`, async () => {
    if (existsSync(directory)) return;
    tell("Making stand-ins for golang:1.7.3, alpine:latest and nginx:latest from Debian packages (once)");
    const work = `${directory}.making`;
    rmSync(work, { recursive: true, force: true });
    mkdirSync(work);
    // The modes of what is made here must not depend on who makes it.
    const umask = process.umask(0o022);
    try {
      const packages = join(work, "packages");
      const tars = join(work, "tars");
      mkdirSync(tars);
      await unpackDebianPackages(packages);
      for (const { name, makeRoot } of RECIPES) {
        const root = join(work, name.replace(":", "-"));
        makeRoot(packages, root);
        packRoot(root, join(tars, `${name.replace(":", "-")}.tar`));
      }
      removeOutdated();
      renameSync(tars, directory);
    } finally {
      process.umask(umask);
      rmSync(work, { recursive: true, force: true });
    }
  });
  return images;
}

/** Imports those stand-ins into the store at `root` whose names it does not have. Real images of these names stay. */
export async function importBaseImages(root: string, tell: (line: string) => void = () => {}): Promise<void> {
  const images = await makeBaseTars(tell);
  mkdirSync(root, { recursive: true });
  // Two processes on one store would both import.
  await withLock(join(cache, `import-${hash(resolve(root))}.lock`), async () => {
    const present = new Set(listImages(root).map(({ name }) => name));
    for (const { name, tarPath, changes } of images) {
      if (present.has(name)) continue;
      tell(`Importing the stand-in for ${name}`);
      const options = changes.flatMap((change) => ["--change", change]);
      const { status } = spawnSync(slipway, ["--root", root, "import", ...options, tarPath, name], {
        stdio: ["ignore", "ignore", "inherit"],
      });
      if (status !== 0) throw new Error(`Cannot import "${name}" into ${root}: slipway ended with ${status}`);
    }
  });
}

export interface ListedImage {
  /** `repository:tag`, without Docker Hub's prefix. */
  readonly name: string;
  readonly id: string;
  readonly sizeBytes: number;
}

/** What `slipway images --format json` says: one object a line, or one array. */
export function listImages(root: string): ListedImage[] {
  const text = execFileSync(slipway, ["--root", root, "images", "--format", "json"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  }).trim();
  if (text === "") return [];
  const rows: { Repository: string; Tag: string; ID: string; SizeBytes: number }[] = text.startsWith("[")
    ? JSON.parse(text)
    : text.split("\n").map((line) => JSON.parse(line));
  return rows.map((row) => ({
    name: `${row.Repository.replace(/^docker\.io\/(library\/)?/, "")}:${row.Tag}`,
    id: row.ID,
    sizeBytes: row.SizeBytes,
  }));
}

/** What earlier recipes made: 300 MB each. */
function removeOutdated(): void {
  for (const name of readdirSync(cache)) {
    if (/^[0-9a-f]+$/.test(name)) rmSync(join(cache, name), { recursive: true, force: true });
  }
}

/** As root's files, in the order of their names and with no time of today: the same packages give the same bytes. */
function packRoot(root: string, tarPath: string): void {
  const owner = ["--owner=0", "--group=0", "--numeric-owner"];
  const order = ["--sort=name", "--mtime=@1700000000", "--clamp-mtime"];
  execFileSync("tar", ["-c", "-f", tarPath, ...order, ...owner, "-C", root, ...readdirSync(root).sort()]);
}

/** The sources under bases/ are the recipe: whoever changes one gets new stand-ins. */
function hashRecipes(): string {
  const directory = join(import.meta.dirname, "bases");
  const names = readdirSync(directory).sort();
  return hash(names.map((name) => `${name}\n${readFileSync(join(directory, name), "utf8")}`).join("\n"));
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

/** Runs `work` while no other process holds the file `path`. A dead process's file counts for nothing. */
async function withLock(path: string, work: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    if (!isAlive(path)) rmSync(path, { force: true });
    else await sleep(200);
  }
  try {
    await work();
  } finally {
    rmSync(path, { force: true });
  }
}

function isAlive(lockPath: string): boolean {
  try {
    const pid = Number(readFileSync(lockPath, "utf8"));
    // Empty for the moment between creation and writing: somebody is there.
    return pid === 0 || process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

if (import.meta.main) {
  const root = process.env.SLIPWAY_ROOT;
  if (!root) {
    console.error("Set SLIPWAY_ROOT to the store that the stand-ins are for");
    process.exit(2);
  }
  await importBaseImages(root, (line) => console.log(`${line} ...`));
}
