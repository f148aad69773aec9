import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { importBaseImages } from "../scripts/make-base-images.ts";
import { openBuildBench } from "../test/build-bench.ts";
import { slipway } from "../test/slipway.ts";
import { type RunningRegistry, startRegistry } from "../test/start-registry.ts";
import { writeBigFiles } from "./write-big-files.ts";

const cache = resolve(import.meta.dirname, "../.cache/bench");

/** Where a benchmark runs: a registry on loopback with the base images, and room for contexts and stores. */
export interface Place extends AsyncDisposable {
  /** Removed at the end. */
  readonly directory: string;
  readonly registry: RunningRegistry;
  /** `127.0.0.1:PORT/bench/NAME` of `small` (busybox), `big` (see `writeBig`), `golang`, `alpine`. */
  image(name: "small" | "big" | "golang" | "alpine"): string;
  /** A fresh name to push to, in that registry. */
  output(name: string): string;
  /** Writes a context with that Dockerfile; returns its directory. */
  context(name: string, dockerfile: string): string;
  /** Files that are the same in every run are made once and kept: calls `write` with an empty directory, or finds its work. */
  kept(name: string, write: (directory: string) => void): string;
}

/** Starts the registry, and fills it the first time. */
export async function openPlace(): Promise<Place> {
  mkdirSync(cache, { recursive: true });
  const directory = mkdtempSync(join(cache, "run-"));
  const registry = await startRegistry({ directory: join(cache, "registry") });
  let count = 0;
  const place: Place = {
    directory,
    registry,
    image: (name) => `${registry.host}/bench/${name}:1`,
    output: (name) => `${registry.host}/out/${process.pid}-${count++}/${name}:1`,
    context(name, dockerfile) {
      const path = join(directory, `${name}-${count++}`);
      mkdirSync(path);
      writeFileSync(join(path, "Dockerfile"), dockerfile);
      return path;
    },
    kept(name, write) {
      const path = join(cache, name);
      if (existsSync(path)) return path;
      const making = `${path}.making`;
      rmSync(making, { recursive: true, force: true });
      mkdirSync(making, { recursive: true });
      write(making);
      // Whole or not at all.
      renameSync(making, path);
      return path;
    },
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
      // What was pushed is of no use to the next run; the base images are.
      rmSync(join(cache, "registry/docker/registry/v2/repositories/out"), { recursive: true, force: true });
    },
  };
  if (!existsSync(join(cache, "filled"))) {
    await fill(place);
    writeFileSync(join(cache, "filled"), "");
  }
  return place;
}

async function fill(place: Place): Promise<void> {
  console.log("Making the base images and pushing them (once) ...");
  using bench = await openBuildBench();
  const { root } = bench;
  await importBaseImages(root);
  const names = { small: "busybox", golang: "golang:1.7.3", alpine: "alpine" } as const;
  for (const [name, source] of Object.entries(names)) {
    const target = place.image(name as keyof typeof names);
    await slipway(["tag", source, target], { root });
    await slipway(["push", target], { root });
  }
  const context = writeBig(place);
  await slipway(["build", "-t", place.image("big"), "--push", context], { root });
  rmSync(context, { recursive: true });
}

/** Six layers on busybox, the largest of 780 MB that gzip makes 290 MB of; /opt/tool is in a small upper one. */
function writeBig(place: Place): string {
  const lines = ["FROM busybox", "COPY base /usr/share/base", "COPY big /usr/lib/big", "COPY a /usr/share/a"];
  const context = place.context("big", [...lines, "COPY tool /opt/tool", "COPY b /usr/share/b"].join("\n"));
  writeBigFiles(join(context, "base"), { files: 200, sizeBytes: 20_000 });
  writeBigFiles(join(context, "big"), { files: 12_000, sizeBytes: 65_000 });
  writeBigFiles(join(context, "a"), { files: 50, sizeBytes: 10_000 });
  writeBigFiles(join(context, "tool"), { files: 10, sizeBytes: 10_000 });
  writeBigFiles(join(context, "b"), { files: 50, sizeBytes: 10_000 });
  return context;
}
