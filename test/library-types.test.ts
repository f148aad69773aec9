import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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

/** Their first block of code that imports slipway is compiled, too. */
const DOCUMENTS = ["README.md", "docs/library.md"];

function readExample(name: string): string {
  const lines = readFileSync(join(repository, name), "utf8").split("\n");
  const rest = lines.slice(lines.findIndex((line) => /^ {4}import .* from "slipway";$/.test(line)));
  const end = rest.findIndex((line) => line !== "" && !line.startsWith("    "));
  assert.ok(end > 1, `${name} has no example`);
  // What examples leave to the reader.
  return `${rest.slice(0, end).join("\n")}\nexport {};\ndeclare function fetchToken(): Promise<string>;\n`;
}

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
  const programs = [PROGRAM, ...DOCUMENTS.map((name) => readExample(name))];
  const names = programs.map((program, at) => {
    writeFileSync(join(work, `use-${at}.ts`), program);
    return `use-${at}.ts`;
  });
  const options = "--noEmit --strict --module nodenext --target es2024 --types node --preserveSymlinks";
  const { stdout, code } = await runCommand(tsc, [...options.split(" "), ...names], { cwd: work });
  assert.equal(stdout, "");
  assert.equal(code, 0);
});
