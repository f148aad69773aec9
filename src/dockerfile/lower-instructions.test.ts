import assert from "node:assert/strict";
import { test } from "node:test";
import { readCases, readSharedRows, skipWithout } from "../../test/shared-data.ts";
import { BuildError } from "../errors/build-error.ts";
import { formatDuration, parseDuration } from "./duration.ts";
import type { CopyInstruction, Instruction, RunInstruction } from "./instruction.ts";
import { lowerInstruction } from "./lower-instruction.ts";
import { lowerInstructions } from "./lower-instructions.ts";
import { evaluateMount, parseMount } from "./mount.ts";
import { parseDockerfile } from "./parse-dockerfile.ts";
import { parseGitReference } from "./parse-git-reference.ts";
import { parsePorts } from "./parse-ports.ts";

const FOLDER = ["conformance", "parser"];

function lowerOne(text: string): Instruction {
  return lowerInstruction(parseDockerfile(text).instructions[0]!);
}

/** `lowerOne`, for FROM as well, which only whole files have. */
function lowerText(text: string): void {
  lowerInstructions(parseDockerfile(text));
}

test("lowerInstruction() says what the conformance data expects", {
  skip: skipWithout(...FOLDER, "instructions.json"),
}, (t) => {
  type Content = { Path: string; Data: string; Expand: boolean };
  type Row = {
    name: string;
    dockerfile?: string;
    errorEquals?: string;
    errorContains?: string;
    expect?: {
      SourcesAndDest?: { DestPath: string; SourcePaths?: string[]; SourceContents?: Content[] };
      PrependShell?: boolean;
      CmdLine?: string[];
      Files?: { Name: string; Data: string; Chomp?: boolean }[] | null;
    };
  };
  // Two rows are trees that no text gives.
  const rows = readSharedRows<Row>(...FOLDER, "instructions.json").filter(
    ({ dockerfile }) => dockerfile !== undefined,
  );
  t.diagnostic(`${FOLDER.join("/")}/instructions.json: ${rows.length} cases`);
  for (const { name, dockerfile, errorEquals, errorContains, expect } of rows) {
    if (expect === undefined) {
      const phrase = errorEquals ?? errorContains!;
      assert.throws(
        () => lowerOne(dockerfile!),
        (error) => error instanceof BuildError && error.message.includes(phrase),
        `${name}: ${phrase}`,
      );
    } else if (expect.SourcesAndDest !== undefined) {
      const copy = lowerOne(dockerfile!) as CopyInstruction;
      const paths = copy.sources.flatMap((source) => (source.kind === "path" ? [source.path] : []));
      const contents = copy.sources.flatMap((source) =>
        source.kind === "heredoc" ? [{ Path: source.name, Data: source.content, Expand: source.expand }] : [],
      );
      assert.equal(copy.destination, expect.SourcesAndDest.DestPath);
      assert.deepEqual(paths, expect.SourcesAndDest.SourcePaths ?? [], name);
      assert.deepEqual(
        contents,
        (expect.SourcesAndDest.SourceContents ?? []).map(({ Path, Data, Expand }) => ({
          Path,
          Data,
          Expand,
        })),
        name,
      );
    } else if (expect.CmdLine !== undefined) {
      const run = lowerOne(dockerfile!) as RunInstruction;
      assert.deepEqual(run.command, { form: "shell", text: expect.CmdLine[0] }, name);
      assert.deepEqual(
        run.heredocs.map(({ name: file, rawContent }) => [file, rawContent]),
        (expect.Files ?? []).map(({ Name, Data }) => [Name, Data]),
        name,
      );
    }
  }
});

test("lowerInstructions() reads what comments say about stages and ARGs", () => {
  const { globalArgs, stages } = lowerInstructions(
    parseDockerfile(
      "# foo sets foo\nARG foo=bar\n\n# base defines first stage\nFROM busybox AS base\n# this is irrelevant\nARG foo\n# bar defines bar\n# baz is something else\nARG bar baz=123\n",
    ),
  );
  assert.equal(globalArgs[0]!.args[0]!.description, "sets foo");
  assert.equal(stages[0]!.description, "defines first stage");
  const [first, second] = stages[0]!.instructions;
  assert.deepEqual(first?.kind === "arg" && first.args, [
    { name: "foo", value: undefined, description: undefined },
  ]);
  assert.deepEqual(second?.kind === "arg" && second.args, [
    { name: "bar", value: undefined, description: "defines bar" },
    { name: "baz", value: "123", description: "is something else" },
  ]);
});

test("parsePorts() gives the ports of the conformance data", {
  skip: skipWithout(...FOLDER, "expose_ports.json"),
}, (t) => {
  type Row = { specs: string[]; ports?: string[]; error?: boolean; errorEquals?: string };
  for (const { specs, ports, error, errorEquals } of readCases<Row>(t, ...FOLDER, "expose_ports.json")) {
    const run = () => specs.flatMap(parsePorts);
    if (error)
      assert.throws(run, (thrown: Error) => thrown.message.includes(errorEquals ?? ""), specs.join());
    else assert.deepEqual(run(), ports);
  }
});

test("parseGitReference() reads the references of the conformance data", {
  skip: skipWithout(...FOLDER, "git_refs.json"),
}, (t) => {
  type Expected = {
    Remote: string;
    ShortName: string;
    Ref?: string;
    SubDir?: string;
    IndistinguishableFromLocal?: boolean;
    UnencryptedTCP?: boolean;
    MTime?: string;
  };
  type Row = { ref: string; expected: Expected | null; err?: string };
  for (const { ref, expected, err } of readCases<Row>(t, ...FOLDER, "git_refs.json")) {
    if (err !== undefined) {
      assert.throws(
        () => parseGitReference(ref),
        (error: Error) => error.message.includes(err),
        ref,
      );
      continue;
    }
    const found = parseGitReference(ref);
    if (expected === null) {
      assert.equal(found, undefined, ref);
      continue;
    }
    assert.ok(found, ref);
    assert.deepEqual(
      [
        found.remote,
        found.shortName,
        found.ref,
        found.subdirectory,
        found.looksLocal,
        found.isUnencrypted,
        found.modificationTimes,
      ],
      [
        expected.Remote,
        expected.ShortName,
        expected.Ref,
        expected.SubDir,
        expected.IndistinguishableFromLocal ?? false,
        expected.UnencryptedTCP ?? false,
        expected.MTime,
      ],
      ref,
    );
  }
});

test("lowerInstructions() suggests the instruction and the flag that were meant, and marks them", () => {
  assert.throws(() => lowerText("FROM a\n  COPPY a b"), {
    message: 'Cannot parse "COPPY": unknown instruction: COPPY',
    hint: 'Did you mean "COPY"?',
    span: { file: "Dockerfile", startLine: 2, endLine: 2, startColumn: 3, endColumn: 8 },
  });
  assert.throws(() => lowerText("FROM a\nCOPY --form=x a b"), {
    message: 'Cannot parse "COPY": unknown flag: --form',
    hint: 'Did you mean "--from"?',
    span: { file: "Dockerfile", startLine: 2, endLine: 2, startColumn: 6, endColumn: 12 },
  });
});

for (const [text, problem] of [
  ["RUN a", /no build stage in current context/],
  ["ARG a", /contains no stages to build/],
  ["FROM a b", /FROM requires either one or three arguments/],
  ["FROM a AS 1b", /invalid name for build stage: "1b"/],
  ["FROM a\nCOPY --link=x a b", /expecting boolean value for flag --link/],
  ["FROM a\nCOPY --chown a b", /missing a value on flag: --chown/],
  ["FROM a\nCOPY --chown=1 --chown=2 a b", /duplicate flag specified: --chown/],
  ["FROM a\nRUN --network=hots a", /network "hots" is not supported/],
  ["FROM a\nRUN --mount=from=$x a", /'from' doesn't support variable expansion/],
  ["FROM a\nHEALTHCHECK --interval=1us CMD a", /--interval cannot be less than 1ms/],
  ["FROM a\nHEALTHCHECK NONE x", /HEALTHCHECK NONE takes no arguments/],
  ["FROM a\nHEALTHCHECK a", /Unknown type "A" in HEALTHCHECK/],
  ["FROM a\nSHELL sh -c", /SHELL requires the arguments to be in JSON form/],
  ["FROM a\nONBUILD ONBUILD RUN a", /Chaining ONBUILD/],
  ["FROM a\nENV a", /ENV must have two arguments/],
  ["FROM a\nENV a=b c", /can't find = in "c"/],
  ["FROM a\nLABEL =b", /LABEL names can not be blank/],
  ["FROM a\nWORKDIR", /WORKDIR requires exactly one argument/],
] as const) {
  test(`lowerInstructions() refuses ${JSON.stringify(text)}`, () => {
    assert.throws(() => lowerText(text), problem);
  });
}

test("evaluateMount() fills in the defaults of each type", () => {
  const evaluate = (text: string) => evaluateMount(parseMount(text), (word) => word.replace("$t", "/x"));
  const bind = evaluate("target=$t,rw");
  assert.deepEqual([bind.type, bind.target, bind.readOnly], ["bind", "/x", false]);
  assert.equal(evaluate("type=cache,dst=/c").readOnly, false);
  assert.equal(evaluate("type=tmpfs,target=/t,size=1.5k").sizeBytes, 1536);
  assert.deepEqual(evaluate('type=secret,id=a,"target=/a,b",required,mode=0440'), {
    ...evaluate("type=secret,id=a"),
    target: "/a,b",
    required: true,
    mode: 0o440,
  });
});

for (const [text, problem] of [
  ["type=bnd", /unsupported mount type "bnd"/],
  ["type=cache,sharing=some", /unsupported sharing value "some"/],
  ["type=bind,targt=/x", /unexpected key 'targt'/],
  ["target", /invalid field 'target' must be a key=value pair/],
  ["type=bind,uid=1", /unexpected key 'uid' for mount type 'bind'/],
  ["type=secret", /one of source, target, id required/],
  ["type=cache,mode=9", /invalid value 9 for mode/],
] as const) {
  test(`evaluateMount() refuses ${text}`, () => {
    assert.throws(() => evaluateMount(parseMount(text), (word) => word), problem);
  });
}

test("durations are read and written as Go has them", () => {
  assert.equal(parseDuration("1h2m3.5s"), 3723.5e9);
  for (const text of ["0s", "1m30s", "500ms", "2s", "1h0m0s", "1.5s", "100h0m1s", "12µs"]) {
    assert.equal(formatDuration(parseDuration(text)), text);
  }
  assert.throws(() => parseDuration("30"), BuildError);
});
