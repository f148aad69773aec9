import assert from "node:assert/strict";
import { test } from "node:test";
import { planText } from "../../test/plan-text.ts";
import { readCases, skipWithout } from "../../test/shared-data.ts";
import { BuildError } from "../errors/build-error.ts";

test("accepts and refuses what the conformance data does", {
  skip: skipWithout("conformance", "parser", "accept_reject.json"),
}, (t) => {
  type Row = { name: string; dockerfile: string; ok: boolean; errorEquals?: string };
  for (const { name, dockerfile, ok, errorEquals } of readCases<Row>(
    t,
    "conformance",
    "parser",
    "accept_reject.json",
  )) {
    const run = () => planText(dockerfile);
    if (ok) assert.doesNotThrow(run, name);
    else
      assert.throws(
        run,
        (error) => error instanceof BuildError && error.message.includes(errorEquals ?? ""),
        name,
      );
  }
});

for (const [text, options, expected] of [
  [
    "FROM a AS builder\n",
    { target: "bulider" },
    {
      code: "stage-unknown",
      message: 'Cannot build target "bulider": target stage "bulider" could not be found',
      hint: 'Did you mean "builder"?',
    },
  ],
  [
    "FROM a AS one\nFROM b\nCOPY --from=2 x y\n",
    {},
    { code: "stage-unknown", hint: "The stages are 0 (one), 1" },
  ],
  ["FROM a\nCOPY --from=later x y\nFROM b AS later\n", { target: undefined }, undefined],
  [
    "FROM a AS one\nCOPY --from=later x y\nFROM b AS later\n",
    { target: "one" },
    {
      code: "stage-unknown",
      message: 'Cannot copy from stage "later": it needs to be defined before current stage "one"',
    },
  ],
  ["FROM a\nCOPY --chmod=999 x y\n", {}, { message: /invalid chmod parameter: '999'/ }],
  ["FROM a\nCOPY https://x.org/r.git y\n", {}, { message: /source can't be a git ref for COPY/ }],
  ["FROM a\nADD --checksum=sha256:1 http://x/y z\n", {}, { message: /it is not sha256: and 64 hex digits/ }],
  ["FROM a\nRUN --mount=target=/ x\n", {}, { message: /invalid mount target/ }],
  ["FROM a\nSTOPSIGNAL SIGTEMR\n", {}, { hint: 'Did you mean "SIGTERM"?' }],
  ["FROM a\nEXPOSE 80/tpc\n", {}, { message: /invalid proto: tpc/ }],
  [
    "FROM --platform=$BULIDPLATFORM a\n",
    {},
    { message: /empty platform value/, hint: 'Did you mean "$BUILDPLATFORM"?' },
  ],
  ["FROM Builder\n", {}, { message: /must be lowercase/ }],
  [
    "FROM a\nONBUILD RUN x\nFROM b\nCOPY --from=$x a b\n",
    {},
    { message: /variable expansion is not supported for --from/ },
  ],
] as const) {
  test(`planBuild() of ${JSON.stringify(text)} ${expected === undefined ? "is fine" : "fails where it should"}`, () => {
    if (expected === undefined) assert.doesNotThrow(() => planText(text, options));
    else assert.throws(() => planText(text, options), expected);
  });
}

test("files that would grow without measure end in an error", () => {
  const bombs = [
    `FROM scratch\n${"ENV A=$A$A-\n".repeat(100)}`,
    `FROM scratch\n${Array.from({ length: 5000 }, (_, i) => `ENV A${i}=xxxxxxxxxxxx$A${i - 1}\n`).join("")}`,
    `FROM scratch\n${Array.from({ length: 5000 }, (_, i) => `ENV A${i}=1\nRUN x\n`).join("")}`,
    `FROM scratch\n${"EXPOSE 1-65535\n".repeat(100)}`,
  ];
  for (const bomb of bombs) assert.throws(() => planText(bomb), { code: "input-limit" });
});
