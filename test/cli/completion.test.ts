import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runCommand, runSlipway } from "../slipway.ts";

const work = mkdtempSync(join(tmpdir(), "slipway-completion-"));
after(() => rmSync(work, { recursive: true, force: true }));

async function writeScript(shell: string): Promise<string> {
  const { stdout, code, stderr } = await runSlipway(["completion", shell]);
  assert.equal(code, 0, stderr);
  const path = join(work, `completion.${shell}`);
  writeFileSync(path, stdout);
  return path;
}

test("bash completes commands, commands of commands, options and files", async () => {
  const script = await writeScript("bash");
  writeFileSync(join(work, "Dockerfile"), "");
  /** What bash offers for the last of the words. */
  const complete = async (...words: readonly string[]) => {
    const list = ["slipway", ...words].map((word) => `'${word}'`).join(" ");
    const { stdout, stderr } = await runCommand(
      "bash",
      [
        "-c",
        `. ${script}; COMP_WORDS=(${list}); COMP_CWORD=${words.length}; _slipway; printf '%s\\n' "\${COMPREPLY[@]}"`,
      ],
      { cwd: work },
    );
    assert.equal(stderr, "");
    return stdout.trim().split("\n").sort();
  };
  assert.deepEqual(await complete("bu"), ["build", "builds"]);
  assert.deepEqual(await complete("container", ""), ["cp", "create", "ls", "rm"]);
  assert.deepEqual(await complete("build", "--no-c"), ["--no-cache", "--no-cache-filter"]);
  assert.deepEqual(await complete("builds", "logs", "--f"), ["--follow"]);
  assert.deepEqual(await complete("history", "logs", "--f"), ["--follow"]);
  assert.deepEqual(await complete("build", "--progress", "p"), ["plain"]);
  assert.deepEqual(await complete("build", "--progress", "=", "r"), ["rawjson"]);
  assert.deepEqual(await complete("build", "--network", ""), ["default", "host", "none"]);
  assert.deepEqual(await complete("--"), [
    "--debug",
    "--help",
    "--limit",
    "--root",
    "--store-max",
    "--version",
  ]);
  assert.deepEqual(await complete("--root", "/x", "build", "-t", "app", "Dock"), ["Dockerfile"]);
});

for (const shell of ["zsh", "fish"]) {
  const isMissing = !existsSync(`/usr/bin/${shell}`) && `${shell} is missing (apt-get install ${shell})`;
  test(`${shell} takes its script`, { skip: isMissing }, async () => {
    const { code, stderr } = await runCommand(shell, ["-n", await writeScript(shell)]);
    assert.deepEqual([code, stderr], [0, ""]);
  });
}

test("fish completes options", { skip: !existsSync("/usr/bin/fish") && "fish is missing" }, async () => {
  const script = await writeScript("fish");
  const { stdout } = await runCommand(
    "fish",
    ["-c", `source ${script}; complete -C "slipway build --no-c"`],
    {
      env: { HOME: work },
    },
  );
  assert.match(stdout, /^--no-cache\tr?.*\n--no-cache-filter/m);
  const values = await runCommand(
    "fish",
    ["-c", `source ${script}; complete -C "slipway build --progress r"`],
    {
      env: { HOME: work },
    },
  );
  assert.match(values.stdout, /^rawjson\b[^\n]*\n$/);
  const globals = await runCommand("fish", ["-c", `source ${script}; complete -C "slipway --"`], {
    env: { HOME: work },
  });
  assert.match(globals.stdout, /^--debug\t.*\n--help\t.*\n--limit\t.*\n--root\t/m);
});

test("another shell is an error with the nearest", async () => {
  assert.match(
    (await runSlipway(["completion", "bsh"])).stderr,
    /there is no such shell\n\nHint: Did you mean "bash"\?/,
  );
});
