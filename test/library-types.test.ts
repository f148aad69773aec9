import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import { runCommand } from "./slipway.ts";

const repository = resolve(import.meta.dirname, "..");
const tsc = join(repository, "node_modules/.bin/tsc");
const work = mkdtempSync(join(tmpdir(), "slipway-types-"));
after(() => rmSync(work, { recursive: true, force: true }));

const PROGRAM = `import { build, BuildError, type BuildEvent } from "slipway";
import { parseDockerfile } from "slipway/dockerfile";
const running = build({ context: { files: { a: "b" } }, dockerfile: "FROM scratch", secrets: { x: async () => "y" } });
for await (const event of running) {
  const told: BuildEvent = event;
  if (told.kind === "log") told.data.length;
}
export const id: string = (await running.result).images[0]!.configDigest;
export const line = (error: unknown) => (error instanceof BuildError ? error.span?.startLine : undefined);
export const parse = parseDockerfile;
// @ts-expect-error there is no such option
build({ context: ".", contxt: 1 });
`;

test("a strict consumer compiles against the published types", async () => {
  const types = await runCommand(tsc, ["-p", join(repository, "tsconfig.types.json")]);
  assert.equal(types.code, 0, types.stdout);
  // As npm installs it: what package.json publishes, and no sources.
  const installed = join(work, "node_modules/slipway");
  mkdirSync(join(work, "node_modules/slipway"), { recursive: true });
  mkdirSync(join(work, "node_modules/@types"));
  symlinkSync(join(repository, "package.json"), join(installed, "package.json"));
  symlinkSync(join(repository, "dist"), join(installed, "dist"));
  for (const name of ["@types/node", "undici-types", "undici"]) {
    symlinkSync(join(repository, "node_modules", name), join(work, "node_modules", name));
  }
  writeFileSync(join(work, "package.json"), '{"type":"module"}');
  writeFileSync(join(work, "use.ts"), PROGRAM);
  const options =
    "--noEmit --strict --module nodenext --target es2024 --types node --preserveSymlinks use.ts";
  const { stdout, code } = await runCommand(tsc, options.split(" "), { cwd: work });
  assert.equal(stdout, "");
  assert.equal(code, 0);
});
