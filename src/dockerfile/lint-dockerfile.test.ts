import assert from "node:assert/strict";
import { test } from "node:test";
import { findUnknownChecks, parseCheckOptions, type UnknownCheck } from "./check-options.ts";
import { CHECK_NAMES, checkRule } from "./check-rules.ts";
import { type LintOptions, lintDockerfile } from "./lint-dockerfile.ts";
import { parseDockerfile } from "./parse-dockerfile.ts";

function lint(text: string, options?: LintOptions): readonly string[] {
  const { warnings } = lintDockerfile(parseDockerfile(text), options);
  return warnings.map(({ span, rule, detail }) => `${span.startLine} ${rule}: ${detail}`);
}

/** What each check finds, and that its opposite is not found. */
for (const [bad, finding, good, options] of [
  ["FROM a AS Base", "1 StageNameCasing: Stage name 'Base' should be lowercase", "FROM a AS base"],
  ["FROM a as b", "1 FromAsCasing: 'as' and 'FROM' keywords' casing do not match", "FROM a AS b"],
  ["FROM a\nRUN x \\\n\n y", "4 NoEmptyContinuation: Empty continuation line", "FROM a\nRUN x \\\n # c\n y"],
  [
    "FROM a\nrun x",
    "2 ConsistentInstructionCasing: Command 'run' should match the case of the command majority (uppercase)",
    "from a\nrun x",
  ],
  [
    "FROM a AS b\nFROM c AS b",
    '2 DuplicateStageName: Duplicate stage name "b", stage names should be unique',
    "FROM a AS b\nFROM c AS d",
  ],
  [
    "FROM a AS context",
    '1 ReservedStageName: Stage name should not use the same name as reserved stage "context"',
    "FROM a AS contexts",
  ],
  [
    "FROM a\nCMD x",
    "2 JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
    'FROM a\nSHELL ["sh"]\nCMD x',
  ],
  [
    "FROM a\nMAINTAINER me",
    "2 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label",
    "FROM a\nLABEL maintainer=me",
  ],
  ["FROM a:1$v", "1 UndefinedArgInFrom: FROM argument 'v' is not declared", "ARG v\nFROM a:1$v"],
  [
    "FROM a\nARG foobar=1\nUSER $foobra",
    "3 UndefinedVar: Usage of undefined variable '$foobra' (did you mean $foobar?)",
    "FROM a\nARG foo\nUSER $foo",
  ],
  [
    "FROM a\nWORKDIR b/",
    '2 WorkdirRelativePath: Relative workdir "b/" can have unexpected results if the base image changes',
    "FROM a\nWORKDIR /b\nWORKDIR c",
  ],
  [
    "FROM a\nCMD []\nCMD []",
    "2 MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only the last one will be used",
    "FROM a AS b\nCMD []\nFROM b\nCMD []",
  ],
  [
    "FROM a\nENV b c",
    '2 LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy "ENV key value" format',
    "FROM a\nENV b=c",
  ],
  [
    "FROM a",
    '1 InvalidBaseImagePlatform: Base image a was pulled with platform "linux/arm64", expected "linux/amd64" for current build',
    "FROM --platform=$P a\nARG x".replace("FROM", "ARG P=linux/arm64\nFROM"),
    { findBase: () => ({ platform: { os: "linux", architecture: "arm64" } }) },
  ],
  [
    "FROM --platform=$TARGETPLATFORM a",
    "1 RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    "FROM --platform=$BUILDPLATFORM a",
  ],
  [
    "FROM a\nARG DB_PASSWORD",
    '2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "DB_PASSWORD")',
    "FROM a\nARG PASSWORD_FILE\nENV KEYBOARD=1",
  ],
  [
    "ARG v\nFROM a:$v",
    "2 InvalidDefaultArgInFrom: Default value for ARG a:$v results in empty or invalid base image name",
    "ARG v=1\nFROM a:$v",
  ],
  [
    "FROM --platform=linux/arm64 a",
    '1 FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "linux/arm64"',
    "FROM --platform=linux/arm64 a AS for-arm64",
  ],
  [
    "FROM a\nCOPY ./x.log /",
    '2 CopyIgnoredFile: Attempting to Copy file "x.log" that is excluded by .dockerignore',
    "FROM a\nCOPY x /\nCOPY --from=b x.log /",
    { ignorePatterns: ["*.log"] },
  ],
  [
    "#check=experimental=all\nFROM a\n# nonsense\nARG b",
    "4 InvalidDefinitionDescription: Comment for ARG should follow the format: `# b <description>`",
    "FROM a\n# nonsense\nARG b",
  ],
  [
    "FROM a\nEXPOSE 80/TCP",
    "2 ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
    "FROM a\nEXPOSE 80/tcp",
  ],
  [
    "FROM a\nEXPOSE 127.0.0.1:80:80",
    "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
    "FROM a\nEXPOSE 80-90",
  ],
] as readonly (readonly [string, string, string, LintOptions?])[]) {
  test(`lintDockerfile() finds ${finding.split(":", 1)[0]?.slice(2)}, and nothing where all is well`, () => {
    assert.deepEqual(lint(bad, options), [finding]);
    assert.deepEqual(lint(good, options), []);
  });
}

test("there are 22 checks, each with its page", () => {
  assert.equal(CHECK_NAMES.length, 22);
  assert.equal(
    checkRule("JSONArgsRecommended").url,
    "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/",
  );
  assert.equal(checkRule("FromAsCasing").url, "https://docs.docker.com/go/dockerfile/rule/from-as-casing/");
});

test("checks are switched off by the directive, by the build argument that goes before it, and above an instruction", () => {
  const text = "FROM a\nCMD x\nWORKDIR b\n";
  assert.equal(lint(text).length, 2);
  assert.equal(lint(`#check=skip=JSONArgsRecommended\n${text}`).length, 1);
  assert.equal(lint(`#check=skip=all // for now\n${text}`).length, 0);
  assert.equal(lint(`#check=skip=all\n${text}`, { buildArgs: { BUILDKIT_DOCKERFILE_CHECK: "" } }).length, 2);
  assert.equal(lint("FROM a\n# check=skip=all\nCMD x\nWORKDIR b\n").length, 1);
});

test("error=true makes a build fail, if anything is found", () => {
  const result = (text: string) => lintDockerfile(parseDockerfile(text)).failsBuild;
  assert.equal(result("#check=error=true\nFROM a\nCMD x\n"), true);
  assert.equal(result("#check=error=true\nFROM a\n"), false);
  assert.equal(result("#check=error=true;skip=all\nFROM a\nCMD x\n"), false);
  assert.equal(result("FROM a\nCMD x\n"), false);
});

test("wrong check options are an error with its place, and an unknown check is told", () => {
  assert.throws(() => lint("#check=skp=all\nFROM a\n"), {
    code: "option-invalid",
    hint: 'Did you mean "skip"?',
    span: { file: "Dockerfile", startLine: 1, endLine: 1 },
  });
  assert.deepEqual(findUnknownChecks(parseCheckOptions("skip=JSONArgsRecomended")), [
    { name: "JSONArgsRecomended", hint: 'Did you mean "JSONArgsRecommended"?' },
  ]);
});

test("an unknown check in a comment above an instruction is told, with its instruction", () => {
  const text = "FROM a\n# check=skip=WorkdirRelativPath\nWORKDIR b\n";
  const { unknownChecks, warnings } = lintDockerfile(parseDockerfile(text));
  const [{ name, hint, span }] = unknownChecks as [UnknownCheck];
  assert.deepEqual([name, hint], ["WorkdirRelativPath", 'Did you mean "WorkdirRelativePath"?']);
  assert.equal(span?.startLine, 3);
  assert.equal(warnings.length, 1);
});

test("hints end after a hundred mistakes", () => {
  const unknown = Array.from({ length: 300 }, (_, i) => `# check=skip=JSONArgsRecomende${i}\n`);
  const { unknownChecks } = lintDockerfile(parseDockerfile(`FROM a\n${unknown.join("")}RUN b\n`));
  assert.equal(unknownChecks.length, 300);
  assert.equal(unknownChecks.filter(({ hint }) => hint !== undefined).length, 100);
});

test("variables of the base image are defined", () => {
  const findBase = () => ({ env: ["HOME_DIR=/h"] });
  assert.deepEqual(lint("FROM a\nWORKDIR $HOME_DIR\n", { findBase }), []);
  assert.equal(lint("FROM a\nWORKDIR /x$HOME_DIR\n").length, 1);
});
