import assert from "node:assert/strict";
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A directory of the host that nothing of a build may read or change, with one file. */
export interface Canary {
  readonly directory: string;
  readonly file: string;
  /** @throws AssertionError when anything about the directory or its file is another. */
  assertUntouched(message: string): void;
  /** @throws AssertionError when a file below `output` has what the secret file has. No link is followed. */
  assertNotIn(output: string, message: string): void;
}

const SECRET = "nobody outside may read this";

/** Takes the place of one that an earlier test left there. */
export function placeCanary(directory: string): Canary {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  const file = join(directory, "secret");
  writeFileSync(file, SECRET, { mode: 0o640 });
  utimesSync(file, 1000, 1000);
  utimesSync(directory, 1000, 1000);
  const look = () => ({
    names: readdirSync(directory),
    text: readFileSync(file, "utf8"),
    stats: [directory, file].map((path) => {
      const { mode, uid, gid, nlink, mtimeMs, ino } = lstatSync(path);
      return { mode, uid, gid, nlink, mtimeMs, ino };
    }),
  });
  const before = look();
  return {
    directory,
    file,
    assertUntouched: (message) => assert.deepEqual(look(), before, message),
    assertNotIn(output, message) {
      for (const path of listFiles(output)) {
        assert.ok(!readFileSync(path).includes(SECRET), `${message}: ${path}`);
      }
    },
  };
}

/** Regular files; Node's own recursive listing goes through symlinks. */
function* listFiles(directory: string): Generator<string> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* listFiles(path);
    else if (entry.isFile()) yield path;
  }
}
