import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "./build-bench.ts";

const bench: BuildBench = await openBuildBench();
after(() => bench[Symbol.dispose]());

const guide = readFileSync(join(import.meta.dirname, "../docs/guide.md"), "utf8");
const GREET = "#!/bin/sh\necho hello, NAME\n";

/** The text of a section's blocks in a language. */
function findBlock(section: string, language: string): string {
  return new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "ms").exec(section)?.[1] ?? "";
}

for (const section of guide.split(/^## /m).slice(1)) {
  const title = section.split("\n", 1)[0]!;
  test(`the guide's Dockerfile and commands work: ${title}`, { skip: runMissing }, async () => {
    const directory = bench.context({ Dockerfile: findBlock(section, "dockerfile"), "greet.sh": GREET });
    const commands = findBlock(section, "sh").trim().split("\n");
    for (const command of commands) {
      const [program, ...args] = command.split(" ");
      assert.equal(program, "slipway");
      const { code, stdout, stderr } = await bench.run(args, { cwd: directory });
      assert.equal(code, 0, `${command}\n${stderr}`);
      if (command === "slipway run --rm greeter") assert.equal(stdout, "hello, crew\n");
    }
    if (commands.includes("slipway build -o result .")) {
      assert.match(readFileSync(join(directory, "result/left"), "utf8"), /hello, left/);
      assert.match(readFileSync(join(directory, "result/right"), "utf8"), /hello, right/);
    }
  });
}
