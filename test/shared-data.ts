import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { TestContext } from "node:test";

/** The folder with conformance data and corpus, beside the repository; SLIPWAY_SHARED names another place. */
const sharedRoot = resolve(import.meta.dirname, "..", process.env.SLIPWAY_SHARED ?? "../shared");

/** A path in the shared folder. */
export function sharedPath(...parts: readonly string[]): string {
  return join(sharedRoot, ...parts);
}

/** For a test's `skip` option: false, or why the test cannot run. */
export function skipWithout(...parts: readonly string[]): string | false {
  const path = sharedPath(...parts);
  return existsSync(path) ? false : `${path} is not there`;
}

/** The parsed JSON of a file there; an empty list where the file is absent, so that loops over it do nothing. */
export function readSharedRows<Row>(...parts: readonly string[]): readonly Row[] {
  const path = sharedPath(...parts);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as readonly Row[]) : [];
}

/** `readSharedRows` for a test that runs them all: their number is printed with it. */
export function readCases<Row>(t: TestContext, ...parts: readonly string[]): readonly Row[] {
  const rows = readSharedRows<Row>(...parts);
  t.diagnostic(`${parts.join("/")}: ${rows.length} cases`);
  return rows;
}
