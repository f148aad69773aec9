import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";

/* What people get wrong in a RUN, and what they are told. */

const skip = runMissing;
const bench: BuildBench = await openBuildBench();
after(() => bench[Symbol.dispose]());

/** A program for arm64, or amd64 where the tests run on arm64: the ELF header (elf(5)) and no more. */
const FOREIGN = Buffer.alloc(4096);
FOREIGN.write("\x7fELF\x02\x01\x01", "latin1");
FOREIGN.writeUInt16LE(2, 16);
FOREIGN.writeUInt16LE(process.arch === "arm64" ? 62 : 183, 18);

/** A program with a loader that busybox does not have, as every program of a C library has one. */
const DYNAMIC = "/usr/bin/env";

interface Mistake {
  readonly what: string;
  readonly dockerfile: string;
  readonly args?: readonly string[];
  readonly message: RegExp;
  readonly hint: RegExp;
}

const MISTAKES: readonly Mistake[] = [
  {
    what: "a program of another processor",
    dockerfile: "COPY foreign /tool\nRUN /tool\n",
    message: /Cannot run "\/bin\/sh -c \/tool": it ended with exit code \d+/,
    hint: /"\/tool" is a program for (arm64|amd64), and the stage is for (amd64|arm64)/,
  },
  {
    what: "a program of another C library",
    dockerfile: "COPY dynamic /tool\nRUN /tool\n",
    message: /Cannot run "\/bin\/sh -c \/tool": it ended with exit code 127/,
    hint: /"\/tool" needs the loader "\/.*ld-.*", which the image does not have: it was made for another C library/,
  },
  {
    what: "a script with Windows line ends",
    dockerfile: "COPY crlf.sh /\nWORKDIR /\nRUN ./crlf.sh\n",
    message: /Cannot run "\/bin\/sh -c \.\/crlf\.sh": it ended with exit code 127/,
    hint: /"\.\/crlf\.sh" has Windows line ends \(CRLF\), so its interpreter is looked for as "\/bin\/sh\\r"/,
  },
  {
    what: "the same in exec form",
    dockerfile: 'COPY crlf.sh /\nRUN ["/crlf.sh"]\n',
    message: /Cannot run "\/crlf\.sh": /,
    hint: /"\/crlf\.sh" has Windows line ends \(CRLF\)/,
  },
  {
    what: "a script whose interpreter is not there",
    dockerfile: "COPY bash.sh /\nRUN /bash.sh\n",
    message: /Cannot run "\/bin\/sh -c \/bash\.sh": it ended with exit code 127/,
    hint: /"\/bash\.sh" asks for the interpreter "\/bin\/bash", which the image does not have/,
  },
  {
    what: "a command that is not there, in exec form",
    dockerfile: 'RUN ["no-such-program", "x"]\n',
    message: /Cannot run "no-such-program x": .*not found/,
    hint: /No directory of PATH has "no-such-program": install it in a RUN before, or COPY it from another stage/,
  },
  {
    what: "a typo in a command",
    dockerfile: "RUN mkdri /x\n",
    message: /Cannot run "\/bin\/sh -c mkdri \/x": it ended with exit code 127/,
    hint: /No directory of PATH has "mkdri"\. Did you mean "mkdir"\?/,
  },
  {
    what: "a SHELL that is not there",
    dockerfile: 'SHELL ["/bin/bash", "-c"]\nRUN true\n',
    message: /Cannot run "\/bin\/bash -c true": /,
    hint: /The image has no "\/bin\/bash", but it has \/bin\/sh/,
  },
  {
    what: "a secret that the build was not given",
    dockerfile: "RUN --mount=type=secret,id=token,required cat /run/secrets/token\n",
    message: /Cannot mount the secret "token": the build was given no secret with that id/,
    hint: /Give it with --secret id=token,src=FILE/,
  },
  {
    what: "an unknown USER",
    dockerfile: "USER nobdy\nRUN true\n",
    message: /Cannot use the user "nobdy": \/etc\/passwd of the image has no such name/,
    hint: /Did you mean "nobody"\?/,
  },
  {
    what: "an unknown name in --chown",
    dockerfile: "COPY --chown=nobody:nogruop bash.sh /\n",
    message: /Cannot use "nobody:nogruop" as the owner: the image has no group "nogruop"/,
    hint: /Did you mean "nogroup"\?/,
  },
  {
    what: "a platform that an image of the store does not have",
    dockerfile: "COPY bash.sh /\n",
    args: ["--platform", "linux/s390x"],
    message: /Cannot pull "docker\.io\/library\/busybox:latest"/,
    hint: /The store has it for linux\/(amd64|arm64), and not for the platform that is asked for/,
  },
];

for (const { what, dockerfile, args = [], message, hint } of MISTAKES) {
  test(`${what}: the message says so`, { skip }, async () => {
    const directory = bench.context({
      Dockerfile: `FROM busybox\n${dockerfile}`,
      "crlf.sh": "#!/bin/sh\r\necho hi\r\n",
      "bash.sh": "#!/bin/bash\necho hi\n",
    });
    writeFileSync(join(directory, "foreign"), FOREIGN);
    copyFileSync(DYNAMIC, join(directory, "dynamic"));
    for (const name of ["foreign", "dynamic", "crlf.sh", "bash.sh"]) chmodSync(join(directory, name), 0o755);
    const { code, stderr } = await bench.run(["build", "--progress=quiet", "--retry=0", ...args, directory]);
    assert.match(stderr, message);
    assert.match(stderr, /^Error: Cannot .*\n\n.*Dockerfile:\d+:\d+\n/);
    assert.match(stderr.split("\nHint: ")[1] ?? "", hint);
    assert.equal(code, 1);
  });
}

test("no space left: for the store and for an output the message says so, and what frees some", {
  skip,
}, async () => {
  const small = join(bench.directory, "small");
  mkdirSync(small);
  using _mount = mountTmpfs(small, "2m");
  const directory = bench.context({ Dockerfile: "FROM scratch\nCOPY big /\n", big: "x".repeat(4 << 20) });
  const output = `type=oci,compression=uncompressed,dest=${join(small, "image.tar")}`;
  for (const args of [
    ["--root", join(small, "store"), "build"],
    ["--root", bench.root, "build", "-o", output],
  ]) {
    const { code, stderr } = await bench.run([...args, "-q", directory]);
    assert.match(stderr, /^Error: Cannot .*: no space is left on the file system$/m);
    assert.match(stderr, /\nHint: Free some: slipway prune removes what no image needs/);
    assert.equal(code, 1);
    rmSync(join(small, "store"), { recursive: true, force: true });
  }
});

test("--pull of an image that only the store has: the hint says so", { skip }, async () => {
  const image = "127.0.0.1:1/only-here";
  assert.equal((await bench.run(["tag", "busybox", image])).code, 0);
  const directory = bench.context({ Dockerfile: `FROM ${image}\nRUN true\n` });
  const { code, stderr } = await bench.run(["build", "--pull", "-q", "--retry=0", directory]);
  assert.match(stderr, /^Error: Cannot .*127\.0\.0\.1:1/);
  assert.match(stderr, /\nHint: The store has it, and without --pull that is taken\n$/);
  assert.equal(code, 1);
});

test("a store that cannot be written, and one of a newer slipway: the message says so", {
  skip,
}, async () => {
  const root = join(bench.directory, "read-only");
  mkdirSync(root);
  {
    using _mount = mountTmpfs(root, "8m");
    assert.equal((await bench.run(["--root", join(root, "store"), "images"])).code, 0);
    execFileSync("mount", ["-o", "remount,ro", root]);
    const known = await bench.run(["--root", join(root, "store"), "images"]);
    assert.match(known.stderr, /^Error: Cannot open the store ".*": /);
    assert.match(known.stderr, /\nHint: Its directory must be writable, also for reading; .* --root DIR/);
    const fresh = await bench.run(["--root", join(root, "new"), "images"]);
    assert.match(
      fresh.stderr,
      /^Error: Cannot use the store ".*": the file system is read-only\n\nHint: Choose /,
    );
    assert.deepEqual([known.code, fresh.code], [1, 1]);
  }
  const newer = join(bench.directory, "newer");
  await bench.run(["--root", newer, "images"]);
  const database = new DatabaseSync(join(newer, "db.sqlite"));
  database.exec("PRAGMA user_version = 999");
  database.close();
  const { code, stderr } = await bench.run(["--root", newer, "images"]);
  assert.match(stderr, /^Error: Cannot open the store ".*": a newer slipway made it \(format 999\)/);
  assert.match(stderr, /\nHint: Use that slipway, or another directory with --root DIR/);
  assert.equal(code, 1);
});

function mountTmpfs(path: string, size: string): Disposable {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path]);
  return { [Symbol.dispose]: () => execFileSync("umount", [path]) };
}
