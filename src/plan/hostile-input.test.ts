import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { readSharedRows, sharedPath, skipWithout } from "../../test/shared-data.ts";
import { formatSyntaxTree } from "../dockerfile/format-syntax-tree.ts";
import { lintDockerfile } from "../dockerfile/lint-dockerfile.ts";
import { parseDockerfile } from "../dockerfile/parse-dockerfile.ts";
import { BuildError } from "../errors/build-error.ts";
import type { ImageBase, PlanOptions } from "./plan.ts";
import { planBuild } from "./plan-build.ts";

/*
 * Whatever stands in a Dockerfile: a result, or an error of ours with a place in the file; soon, and never anything else.
 */

const PLATFORM = { os: "linux", architecture: "amd64" };
const OPTIONS: PlanOptions = { platforms: [PLATFORM], buildPlatform: PLATFORM };

/** Parses, formats, checks and plans. The error, if there is one of ours; any other is thrown. */
function digest(text: string | Uint8Array): BuildError | undefined {
  let first: BuildError | undefined;
  const attempt = (run: () => void) => {
    try {
      run();
    } catch (error) {
      if (!(error instanceof BuildError)) throw error;
      first ??= error;
    }
  };
  attempt(() => {
    const tree = parseDockerfile(text);
    formatSyntaxTree(tree);
    attempt(() => lintDockerfile(tree));
    attempt(() => {
      const bases: ImageBase[] = [];
      for (let round = 0; round < 5; round++) {
        const result = planBuild(tree, OPTIONS, bases);
        if (!("needs" in result)) return;
        for (const need of result.needs) {
          const config = { Env: ["PATH=/bin"], OnBuild: ["RUN x", "COPY --from=s1 a b"] };
          bases.push({ ...need, config: { ...PLATFORM, config, rootfs: { type: "layers", diff_ids: [] } } });
        }
      }
    });
  });
  return first;
}

function repeat(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("");
}

const HOSTILE: Readonly<Record<string, () => string>> = {
  "a line of a megabyte": () => `FROM scratch\nRUN ${"x".repeat(1 << 20)}\n`,
  "a hundred thousand RUNs": () => `FROM scratch\n${"RUN make && make install\n".repeat(100_000)}`,
  "a hundred thousand variables": () => `FROM scratch\n${repeat(100_000, (i) => `ENV A${i}=1\n`)}`,
  "variables that grow": () => `FROM scratch\n${repeat(100_000, (i) => `ENV A${i}=value$A${i - 1}\n`)}`,
  "a variable that doubles": () => `FROM scratch\nENV A=aaaaaaaa\n${"ENV A=$A$A\n".repeat(200)}`,
  "variables and commands by turns": () => `FROM scratch\n${repeat(50_000, (i) => `ENV A${i}=1\nRUN x\n`)}`,
  "variables and stages by turns": () =>
    `FROM scratch AS s0\n${repeat(50_000, (i) => `ENV A${i}=1\nFROM s${i} AS s${i + 1}\n`)}`,
  "a chain of a hundred thousand stages": () =>
    `FROM scratch AS s0\n${repeat(100_000, (i) => `FROM s${i} AS s${i + 1}\n`)}`,
  "a chain of copies": () =>
    `FROM scratch AS s0\n${repeat(50_000, (i) => `FROM scratch AS s${i + 1}\nCOPY --from=s${i} a b\n`)}`,
  "a hundred thousand unknown images": () =>
    `FROM scratch AS stage0\n${repeat(50_000, (i) => `FROM stagf${i} AS stage${i}x\n`)}`,
  "undefined variables next to similar ones": () =>
    `FROM scratch\n${repeat(30_000, (i) => `ENV NAME${i}=1\n`)}${repeat(30_000, (i) => `USER $NAMF${i}\n`)}`,
  "required variables next to similar ones": () =>
    `FROM scratch\n${repeat(20_000, (i) => `ENV A${i}=x\n`)}${repeat(20_000, (i) => `ENV B${i}=\${C${i}:?}\n`)}`,
  "unknown checks in the comments of one instruction": () =>
    `FROM scratch\n${repeat(100_000, (i) => `# check=skip=JSONArgsRecomende${i}\n`)}RUN x\n`,
  "unknown checks everywhere": () =>
    `FROM scratch\n${repeat(50_000, (i) => `# check=skip=JSONArgsRecomende${i}\nRUN x\n`)}`,
  "a long argument in the history of every RUN": () =>
    `FROM scratch\nARG A=${"x".repeat(60_000)}\n${"RUN x\n".repeat(50_000)}`,
  "a long variable in the name of every RUN": () =>
    `FROM scratch\nENV A=${"x".repeat(60_000)}\n${"RUN echo $A\n".repeat(50_000)}`,
  "many variables and secrets": () =>
    `FROM scratch\n${repeat(20_000, (i) => `ENV A${i}=1\n`)}${"RUN --mount=type=secret,id=a,env=B x\n".repeat(5000)}`,
  "triggers that bring in triggers": () =>
    `FROM scratch AS b0\n${repeat(20_000, (i) => `FROM b0 AS t${i}\nONBUILD COPY --from=u${i} a b\nFROM t${i} AS u${i}\n`)}`,
  "ports without end": () => `FROM scratch\n${"EXPOSE 1-65535\n".repeat(2000)}`,
  "continuations without end": () => `FROM scratch\nRUN a \\\n${" b \\\n".repeat(300_000)} c\n`,
  "comments without end": () => `FROM scratch\n${"# comment\n".repeat(300_000)}`,
  "a hundred thousand heredocs": () => `FROM scratch\n${"RUN <<EOF\nabc\nEOF\n".repeat(100_000)}`,
  "heredocs on one line": () => `FROM scratch\nCOPY ${"<<A ".repeat(10_000)}/x\n${"A\n".repeat(10_000)}`,
  "a heredoc that repeats a long variable": () =>
    `FROM scratch\nENV A=${"x".repeat(60_000)}\nCOPY <<EOF /x\n${"$A\n".repeat(100_000)}EOF\n`,
  "quotes in quotes": () => `FROM scratch\nENV a=${`'"`.repeat(30_000)}\n`,
  "substitutions in substitutions": () => `FROM scratch\nENV a=${"${a:-".repeat(10_000)}\n`,
  "patterns that could backtrack": () =>
    `FROM scratch\nENV a=${"x".repeat(60_000)}\n${`ENV b=$\{a//${"x*".repeat(200)}y/z}\n`.repeat(2000)}`,
  "brackets without end": () => `FROM scratch\nRUN ${"[".repeat(65_000)}\n`,
  "ONBUILDs of ONBUILDs": () => `FROM scratch\n${"ONBUILD ".repeat(8000)}RUN x\n`,
  "NUL bytes": () => `FROM scratch\nRUN \0\0\n${"\0".repeat(60_000)}\n`,
  "flags without end": () => `FROM scratch\nRUN ${"--mount=type=cache,target=/x ".repeat(2000)}x\n`,
};

for (const [what, make] of Object.entries(HOSTILE)) {
  test(`${what}: a result or an error, soon`, () => {
    const text = make();
    const before = process.threadCpuUsage();
    const error = digest(text);
    const { user, system } = process.threadCpuUsage(before);
    const cpuMs = (user + system) / 1000;
    // Parsing, checking and planning together, each within a second on a calm machine. In CPU time, of which a busy machine
    // takes three times as much; what these texts cost before they were bounded was more than 20 seconds.
    assert.ok(cpuMs < 9000, `took ${Math.round(cpuMs)} ms`);
    assert.ok(error === undefined || error.message.length < 1000);
  });
}

const word = fc.oneof(
  fc.constantFrom(
    "a",
    "/b",
    "$v",
    "${v:-w}",
    "${v#*}",
    '"q w"',
    "'s'",
    "\\x",
    "k=v",
    "[",
    "]",
    "<<EOF",
    "<<-'E F'",
    "--from=s1",
    "--",
    "=",
  ),
  fc.string({ unit: "binary", maxLength: 6 }),
);
const keyword = fc.constantFrom(
  ..."FROM RUN COPY ADD ARG ENV LABEL CMD ENTRYPOINT HEALTHCHECK SHELL USER WORKDIR VOLUME EXPOSE STOPSIGNAL ONBUILD from Run MAINTAINER WHAT".split(
    " ",
  ),
);
const line = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(keyword, fc.array(word, { maxLength: 5 }))
      .map(([key, words]) => [key, ...words].join(" ")),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "FROM scratch",
      "FROM a AS s1",
      "FROM s1 AS s2",
      "EOF",
      "E F",
      "# c",
      "# check=skip=all",
      "",
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom("RUN x \\", "ENV a=b \\", " continued") },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 20 }) },
);

test("any text gives a result, or an error of ours with its place", (t) => {
  let planned = 0;
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.constantFrom("\n", "\r\n"), (lines, end) => {
      const error = digest(`FROM scratch AS s1${end}${lines.join(end)}`);
      if (error === undefined) planned++;
      else assert.ok(error.span !== undefined, `${error.message} has no place`);
    }),
    { numRuns: 3000 },
  );
  t.diagnostic(`${planned} of 3000 could be planned`);
});

test("any bytes give a result, or an error of ours", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      digest(bytes);
    }),
    { numRuns: 1000 },
  );
});

test("every Dockerfile of the shared data parses, plans and lints without a crash", {
  skip: skipWithout("conformance"),
}, (t) => {
  let count = 0;
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const item of value) visit(item);
    else if (typeof value === "object" && value !== null) {
      for (const [key, item] of Object.entries(value)) {
        if (key === "dockerfile" && typeof item === "string") {
          count++;
          digest(item);
        } else visit(item);
      }
    }
  };
  for (const folder of ["parser", "lint", "integration"]) {
    for (const name of readdirSync(sharedPath("conformance", folder))) {
      if (name.endsWith(".json")) visit(readSharedRows("conformance", folder, name));
    }
  }
  for (const name of readdirSync(sharedPath("corpus", "cases"), { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith("/Dockerfile")) continue;
    count++;
    digest(readFileSync(sharedPath("corpus", "cases", name)));
  }
  t.diagnostic(`every Dockerfile of the conformance data and the corpus: ${count}`);
  assert.ok(count > 300);
});
