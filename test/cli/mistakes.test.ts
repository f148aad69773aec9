import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runMissing } from "../build-bench.ts";
import { runSlipway } from "../slipway.ts";

const work = mkdtempSync(join(tmpdir(), "slipway-mistakes-"));
after(() => rmSync(work, { recursive: true, force: true }));

interface Mistake {
  readonly what: string;
  /** Of the context. */
  readonly files: Readonly<Record<string, string>>;
  /** After `build`; the context's directory when absent. */
  readonly args?: readonly string[];
  readonly message: RegExp;
  readonly hint?: RegExp;
}

/** What people get wrong, and what they are told. */
const MISTAKES: readonly Mistake[] = [
  {
    what: "a file that the ignore file leaves out",
    files: { Dockerfile: "FROM scratch\nCOPY notes.md /\n", "notes.md": "", ".dockerignore": "*.md" },
    message: /Cannot copy "\/notes\.md": it is not there/,
    hint: /The pattern "\*\.md" of \.dockerignore leaves it out/,
  },
  {
    what: "COPY from outside of the context",
    files: { Dockerfile: "FROM scratch\nCOPY ../secret /\n" },
    message: /Cannot copy "\.\.\/secret": it lies outside of what is copied from/,
    hint: /It was looked for as "\/secret"\. Build with a context that holds it, or name its directory/,
  },
  {
    what: "a typo in a stage",
    files: { Dockerfile: "FROM scratch AS builder\nFROM scratch\nCOPY --from=bulider /a /\n" },
    message: /Cannot use "bulider": no stage has that name/,
    hint: /Did you mean "builder"\?/,
  },
  {
    what: "a registry whose host nobody knows",
    files: { Dockerfile: "FROM no-such-host.invalid/x\n" },
    message: /the host of registry no-such-host\.invalid is not known to the name server/,
    hint: /Check the spelling and the network/,
  },
  {
    what: "a typo in an instruction",
    files: { Dockerfile: "FROM scratch\nCOPPY a /\n" },
    message: /unknown instruction: COPPY/,
    hint: /Did you mean "COPY"\?/,
  },
  {
    what: "a typo in a flag of an instruction",
    files: { Dockerfile: "FROM scratch\nCOPY --chwon=1 a /\n" },
    message: /unknown flag: --chwon/,
    hint: /Did you mean "--chown"\?/,
  },
  {
    what: "a typo in a variable that must be set",
    files: { Dockerfile: "FROM scratch\nARG VERSION=1\nLABEL a=${VERSOIN:?missing}\n" },
    message: /VERSOIN/,
    hint: /Did you mean "VERSION"\?/,
  },
  {
    what: "a registry that is not running",
    files: { Dockerfile: "FROM 127.0.0.1:1/x\n" },
    message: /Cannot pull "127\.0\.0\.1:1\/x:latest": registry 127\.0\.0\.1:1 refuses the connection/,
    hint: /Is the registry running, and is the port right\?/,
  },
  {
    what: "an unknown user in --chown",
    files: { Dockerfile: "FROM scratch\nCOPY --chown=nobodyy a /\n", a: "" },
    message: /Cannot use "nobodyy" as the owner: the image has no user "nobodyy"/,
  },
  {
    what: "a context that is a file",
    files: { Dockerfile: "FROM scratch\n" },
    args: ["Dockerfile"],
    message: /Cannot use "Dockerfile" as the build context: it is a file/,
    hint: /Give the directory that it lies in; -f names a Dockerfile/,
  },
  {
    what: "a context that is not there",
    files: {},
    args: ["nowhere"],
    message: /Cannot use "nowhere" as the build context: there is no such file or directory/,
  },
  {
    what: "no Dockerfile, but one that looks like it",
    files: { Dockerfil: "FROM scratch\n" },
    message: /Cannot find a Dockerfile: "\." has none/,
    hint: /Did you mean -f Dockerfil\?/,
  },
  {
    what: "no Dockerfile, but podman's Containerfile",
    files: { Containerfile: "FROM scratch\n" },
    message: /Cannot find a Dockerfile: "\." has none/,
    hint: /Did you mean -f Containerfile\?/,
  },
];

for (const [position, { what, files, args = ["."], message, hint }] of MISTAKES.entries()) {
  test(`${what}: the message says so`, async () => {
    const directory = join(work, String(position));
    mkdirSync(directory);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    const { code, stderr } = await runSlipway(["build", "--progress=quiet", ...args], {
      root: join(work, "store"),
      cwd: directory,
    });
    assert.match(stderr, message);
    assert.match(stderr, /^Error: Cannot /);
    if (hint !== undefined) assert.match(stderr.split("\nHint: ")[1] ?? "", hint);
    assert.equal(code, 1);
  });
}

test("RUN without a shell in the image: the message says so", { skip: runMissing }, async () => {
  const directory = join(work, "shell");
  mkdirSync(directory);
  writeFileSync(join(directory, "Dockerfile"), "FROM scratch\nRUN echo hi\n");
  const { code, stderr } = await runSlipway(["build", "--progress=quiet", "."], {
    root: join(work, "store"),
    cwd: directory,
  });
  assert.match(stderr, /^Error: Cannot run "\/bin\/sh -c echo hi": /);
  assert.match(stderr, /\nHint: The image has no shell: /);
  assert.equal(code, 1);
});
