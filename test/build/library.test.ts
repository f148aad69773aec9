import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { BuildError, type BuildEvent, type BuildRequest, build } from "../../src/index.ts";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";

/** Processes below this one. */
function listChildren(): string[] {
  return readFileSync(`/proc/self/task/${process.pid}/children`, "utf8")
    .split(" ")
    .filter((pid) => pid !== "");
}

describe("the library", { skip: runMissing }, () => {
  let bench: BuildBench;
  beforeEach(async () => {
    bench = await openBuildBench();
  });
  afterEach(() => bench[Symbol.dispose]());

  test("a build of texts in memory gives typed events and a result", async () => {
    const running = build({
      root: bench.root,
      context: { files: { "src/a.txt": "hello", "b.bin": new Uint8Array([1, 2]) } },
      dockerfile:
        "FROM busybox\nCOPY . /app\nRUN --mount=type=secret,id=text,env=TEXT --mount=type=secret,id=asked,env=ASKED cat /app/src/a.txt; echo $TEXT $ASKED | rev\n",
      secrets: { text: "cba", asked: async () => Buffer.from("fed") },
      noCache: true,
    });
    const events: BuildEvent[] = [];
    for await (const event of running) events.push(event);
    const { images, steps } = await running.result;
    assert.match(images[0]!.configDigest, /^sha256:[0-9a-f]{64}$/);
    // Busybox itself is larger, and tars are rounded up.
    assert.ok(images[0]!.sizeBytes > 100_000 && images[0]!.sizeBytes % 512 === 0);
    const run = steps.find(({ name }) => name.includes("RUN"))!;
    assert.deepEqual([run.isCached, run.stage, run.startedMs <= run.endedMs], [false, "0", true]);
    const started = events.filter(({ kind }) => kind === "start").length;
    assert.ok(started >= 2);
    assert.equal(events.filter(({ kind }) => kind === "end").length, started);
    const text = events
      .map((event) => (event.kind === "log" ? Buffer.from(event.data).toString() : ""))
      .join("");
    assert.equal(text, "hellodef abc\n");
  });

  test("a failure has a code, the place and the end of the output; its events end", async () => {
    const running = build({
      root: bench.root,
      context: { files: {} },
      dockerfile: "FROM busybox\nRUN echo going down; exit 3\n",
    });
    const ends: BuildEvent[] = [];
    for await (const event of running) if (event.kind === "end") ends.push(event);
    assert.match(
      JSON.stringify(ends),
      /"outcome":"failed","error":"Cannot run .* it ended with exit code 3"/,
    );
    await assert.rejects(running.result, (error: unknown) => {
      assert.ok(error instanceof BuildError);
      assert.deepEqual(
        [error.code, error.exitCode, error.span?.startLine, error.logTail],
        ["run-failed", 3, 2, ["going down"]],
      );
      return true;
    });
  });

  test("a signal that aborts without a reason, or with one, is an error with the code `aborted`", async () => {
    for (const reason of [undefined, new Error("enough")]) {
      const abort = new AbortController();
      const running = build({
        root: bench.root,
        context: { files: {} },
        dockerfile: "FROM busybox\nRUN echo begun; sleep 100\n",
        signal: abort.signal,
      });
      for await (const event of running) if (event.kind === "log") abort.abort(reason);
      await assert.rejects(running.result, (error: unknown) => {
        assert.ok(error instanceof BuildError);
        assert.deepEqual([error.code, error.cause], ["aborted", abort.signal.reason]);
        return true;
      });
    }
  });

  test("copies and compressions that take their time tell their bytes", async () => {
    // Enough for a tenth of a second of either, after which the first progress comes.
    const size = 256 << 20;
    const running = build({
      root: bench.root,
      context: { files: { blob: randomBytes(size) } },
      dockerfile: "FROM scratch\nCOPY blob /\n",
      outputs: [{ type: "oci", names: [], dest: join(bench.directory, "out.tar"), tar: true }],
    });
    const told = new Map<string, number>();
    const names: string[] = [];
    for await (const event of running) {
      if (event.kind === "start") names.push(event.name);
      // Reading the context takes its time only on a slow machine.
      if (event.kind !== "progress" || event.label === "read") continue;
      assert.ok(event.doneBytes >= (told.get(event.label) ?? 0));
      assert.ok(event.doneBytes <= event.totalBytes! && event.totalBytes! >= size);
      told.set(event.label, event.doneBytes);
    }
    await running.result;
    assert.deepEqual([...told.keys()].sort(), ["compressed", "copied"]);
    assert.equal(told.get("copied"), size);
    assert.ok(
      names.some((name) => /^compress sha256:[0-9a-f]{12} with gzip$/.test(name)),
      names.join(),
    );
  });

  test("credentials are values by host, or asked for; without them a registry refuses", {
    skip: registryMissing,
  }, async () => {
    await using registry = await startRegistry({ htpasswd: true });
    const tester = { kind: "password", username: "tester", password: "secret" } as const;
    const push = (name: string, credentials: BuildRequest["credentials"]) =>
      build({
        root: bench.root,
        context: { files: { a: "1" } },
        dockerfile: "FROM scratch\nCOPY a /\n",
        tags: [`${registry.host}/${name}`],
        outputs: [{ type: "image", names: [], push: true }],
        credentials,
      }).result;
    await push("by-host", { [registry.host]: tester });
    const asked: string[] = [];
    await push("asked", async (host) => {
      asked.push(host);
      return tester;
    });
    assert.ok(asked.length > 0 && asked.every((host) => host === registry.host), String(asked));
    await assert.rejects(push("other", { "elsewhere.example": tester }), /401|unauthorized|authentication/i);
  });

  test("a path that leaves the context is refused", async () => {
    const running = build({
      root: bench.root,
      context: { files: { "../a": "" } },
      dockerfile: "FROM scratch\n",
    });
    await assert.rejects(running.result, /Cannot use "..\/a" as a file of the context/);
  });

  test("fifty builds in one process, ten of them aborted, leave no process and no temporary file", async () => {
    const before = listChildren();
    const one = async (number: number) => {
      const isAborted = number % 5 === 0;
      const abort = new AbortController();
      const running = build({
        root: bench.root,
        context: { files: { number: String(number) } },
        dockerfile: isAborted
          ? `FROM busybox\nCOPY number /\nRUN echo begun; sleep 1${number}\n`
          : "FROM busybox\nCOPY number /\nWORKDIR /a\n",
        signal: abort.signal,
      });
      for await (const event of running) {
        if (event.kind === "log") abort.abort(new BuildError("aborted", "Cannot go on: stopped"));
      }
      if (isAborted) await assert.rejects(running.result, { code: "aborted" });
      else assert.equal((await running.result).images.length, 1);
    };
    for (let batch = 0; batch < 10; batch++) {
      await Promise.all(Array.from({ length: 5 }, (_, index) => one(batch * 5 + index)));
    }
    assert.deepEqual(listChildren(), before);
    assert.deepEqual(readdirSync(join(bench.root, "tmp")), []);
  });
});
