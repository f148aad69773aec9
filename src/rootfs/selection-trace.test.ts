import assert from "node:assert/strict";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { makeIgnoreMatcher } from "../dockerfile/make-ignore-matcher.ts";
import type { SelectCopyRequest } from "./copy-request.ts";
import { loadLibc } from "./libc.ts";
import { recallSelection, selectTraced, traceKeyOf } from "./selection-trace.ts";

/** More than a tick of the clock that stamps files. */
const SETTLED_MS = 120;

describe("a selection that is known", () => {
  let root: string;
  let context: string;
  let code: URL;
  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), "slipway-trace-"));
    context = join(root, "context");
    code = pathToFileURL(join(root, "code"));
    writeFileSync(code, "a program");
    for (const directory of ["src/deep", "docs", "node_modules/a"])
      mkdirSync(join(context, directory), { recursive: true });
    writeFileSync(join(context, "src/one"), "one");
    writeFileSync(join(context, "src/deep/two"), "two");
    writeFileSync(join(context, "docs/a.md"), "text");
    writeFileSync(join(context, "node_modules/a/left-out"), "");
    symlinkSync("one", join(context, "src/link"));
    await sleep(SETTLED_MS);
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const request = (part: Partial<SelectCopyRequest> = {}, path = "/"): SelectCopyRequest => ({
    sources: [
      {
        kind: "path",
        tree: {
          kind: "directory",
          directory: context,
          ignorePatterns: ["node_modules", "docs/*", "!docs/*.md"],
        },
        path,
      },
    ],
    destination: "/",
    temporaryDirectory: root,
    fileDigestsPath: join(root, "digests.sqlite"),
    ...part,
  });
  const select = (wanted: SelectCopyRequest) => {
    const { contentDigest, selectionPath } = selectTraced(
      wanted,
      { makeIgnoreMatcher },
      traceKeyOf(wanted, code),
    );
    rmSync(selectionPath);
    return contentDigest;
  };
  const recall = (wanted: SelectCopyRequest) => recallSelection(wanted, undefined, code);

  it("is recalled while all of it is as it was", async () => {
    for (const wanted of [
      request(),
      request({ chmod: "0600" }),
      request({ exclude: ["**/two"] }),
      request({}, "/src/*"),
      request({ parents: true }, "/s*/./deep"),
    ]) {
      assert.equal(await recall(wanted), undefined);
      const digest = select(wanted);
      assert.equal(await recall(wanted), digest);
      // Nothing of the request may be another.
      assert.equal(await recall({ ...wanted, chown: "1:1" }), undefined);
    }
    assert.equal(await recall(request({}, "/src/*")), select(request({}, "/src/*")));
  });

  const changes: Readonly<Record<string, () => void>> = {
    "a file has other bytes, as many, and its old time": () => {
      const path = join(context, "src/one");
      const { atime, mtime } = lstatSync(path);
      writeFileSync(path, "eno");
      utimesSync(path, atime, mtime);
    },
    "a file has another mode": () => chmodSync(join(context, "src/deep/two"), 0o600),
    "a directory has another mode": () => chmodSync(join(context, "src/deep"), 0o700),
    "a file is gone": () => unlinkSync(join(context, "src/deep/two")),
    "a file is new": () => writeFileSync(join(context, "src/deep/three"), ""),
    "a file that a ! brings back is new": () => writeFileSync(join(context, "docs/b.md"), ""),
    "a file has another name": () => renameSync(join(context, "src/one"), join(context, "src/once")),
    "another file has its name": () => {
      writeFileSync(join(context, "src/new"), "one");
      renameSync(join(context, "src/new"), join(context, "src/one"));
    },
    "a link points elsewhere": () => {
      unlinkSync(join(context, "src/link"));
      symlinkSync("two", join(context, "src/link"));
    },
    "a file has become a directory": () => {
      unlinkSync(join(context, "src/one"));
      mkdirSync(join(context, "src/one"));
    },
    "an attribute is set": () => loadLibc().lsetxattr(join(context, "src/one"), "user.a", Buffer.from("b")),
    "all of it is gone": () => renameSync(context, join(root, "elsewhere")),
  };
  for (const [what, change] of Object.entries(changes)) {
    it(`is not when ${what}`, async () => {
      select(request());
      assert.notEqual(await recall(request()), undefined);
      change();
      assert.equal(await recall(request()), undefined);
    });
  }

  it("is recalled when what changed is ignored", async () => {
    const digest = select(request());
    writeFileSync(join(context, "node_modules/a/another"), "");
    assert.equal(await recall(request()), digest);
  });

  it("is not when a path is there that was not", async () => {
    const inline = { kind: "inline", name: "b", content: "" } as const;
    const [path] = request({}, "/src/[o]ne").sources;
    const wanted = request({ sources: [path!, inline] });
    const digest = select(wanted);
    assert.equal(await recall(wanted), digest);
    writeFileSync(join(context, "src/o"), "");
    assert.equal(await recall(wanted), undefined);
  });

  it("is not by another slipway", async () => {
    select(request());
    writeFileSync(code, "another program");
    assert.equal(await recall(request()), undefined);
  });

  it("is not kept when a file had just been written", async () => {
    writeFileSync(join(context, "src/one"), "new");
    select(request());
    assert.equal(await recall(request()), undefined);
    await sleep(SETTLED_MS);
    const digest = select(request());
    assert.equal(await recall(request()), digest);
  });

  it("is not where it cannot be read, and that is no failure", async () => {
    const wanted = request();
    select(wanted);
    writeFileSync(
      wanted.fileDigestsPath!,
      "no database at all, but long enough to be taken for one".repeat(100),
    );
    assert.equal(await recall(wanted), undefined);
    assert.match(select(wanted), /^sha256:/);
    assert.match(readFileSync(wanted.fileDigestsPath!, "utf8"), /^no database/);
  });

  it("has no name where more than one directory is copied from", () => {
    const other = {
      kind: "path",
      path: "/",
      tree: { kind: "directory", directory: root, ignorePatterns: [] },
    } as const;
    const { sources } = request();
    assert.equal(traceKeyOf(request({ sources: [...sources, other] }), code), undefined);
    assert.equal(
      traceKeyOf(
        request({ sources: [{ kind: "path", path: "/", tree: { kind: "layers", layers: [] } }] }),
        code,
      ),
      undefined,
    );
  });

  it("of many files is compared in pieces", async () => {
    const many = join(context, "many");
    for (let number = 0; number < 4000; number++) {
      if (number % 500 === 0) mkdirSync(join(many, `${number}`.padEnd(200, "x")), { recursive: true });
      writeFileSync(join(many, `${number - (number % 500)}`.padEnd(200, "x"), `${number}`), "");
    }
    await sleep(SETTLED_MS);
    const digest = select(request());
    assert.equal(await recall(request()), digest);
    writeFileSync(join(many, "3500".padEnd(200, "x"), "3999"), "x");
    assert.equal(await recall(request()), undefined);
  });
});
