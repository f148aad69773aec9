import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { findMissingPackages } from "../scripts/install-packages.ts";
import { basePackages, importBaseImages } from "../scripts/make-base-images.ts";
import { servePage } from "../scripts/serve-page.ts";
import { slipway } from "./slipway.ts";

const missing = findMissingPackages([...basePackages, "crun"]);

/** Why the examples cannot be built here, for a test's `skip`. */
export const examplesMissing: string | false =
  missing.length > 0 && `these Debian packages are missing: ${missing.join(" ")}`;

/** A store with the stand-ins for golang, alpine and nginx, and a copy of an example to build in. */
export interface ExampleStore {
  readonly root: string;
  /** The copy: a test may write into it. */
  readonly directory: string;
  /** Runs `slipway` in the copy, on this store; throws with its output when it fails. */
  run(args: readonly string[], env?: Readonly<Record<string, string>>): ReturnType<typeof slipway>;
  [Symbol.dispose](): void;
}

/**
 * Opens the store for one example's test. `npm test` keeps one store for all examples of a run (SLIPWAY_EXAMPLES_ROOT),
 * because they share their Go builds; a test that is run alone makes its own.
 */
export async function openExampleStore(exampleDirectory: string): Promise<ExampleStore> {
  const work = mkdtempSync(join(tmpdir(), "slipway-example-"));
  const root = process.env.SLIPWAY_EXAMPLES_ROOT ?? join(work, "store");
  const directory = join(work, basename(exampleDirectory));
  const remove = () => rmSync(work, { recursive: true, force: true });
  try {
    cpSync(exampleDirectory, directory, { recursive: true });
    await importBaseImages(root);
  } catch (error) {
    remove();
    throw error;
  }
  return {
    root,
    directory,
    run: (args, env) => slipway(args, { root, cwd: directory, env }),
    [Symbol.dispose]: remove,
  };
}

/** Runs the image, which has href-counter as its command, against a page on loopback, and checks what it prints. */
export async function assertCountsLinks(store: ExampleStore, image: string, command: readonly string[] = []) {
  await using page = await servePage();
  const args = ["run", "--rm", "--network", "host", "-e", `url=${page.url}`, image, ...command];
  const { stdout } = await store.run(args);
  assert.deepEqual(JSON.parse(stdout), page.report);
}
