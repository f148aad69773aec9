import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { BuildError } from "../errors/build-error.ts";
import { makeThreadPool, type ThreadPool } from "./thread-pool.ts";

const entry = new URL("../../test/fixtures/pool-worker.ts", import.meta.url);

function poolOf(t: TestContext, size = 2): ThreadPool {
  const pool = makeThreadPool({ entry, size });
  t.after(() => pool[Symbol.asyncDispose]());
  return pool;
}

test("a pool runs tasks side by side, no more than its size at a time", async (t) => {
  const pool = poolOf(t);
  assert.equal(await pool.run("double", 21), 42);
  const threads = await Promise.all(Array.from({ length: 6 }, () => pool.run<number>("thread", undefined)));
  assert.equal(new Set(threads).size, 2);
});

test("a BuildError keeps its code, hint and cause across threads; a bug its name", async (t) => {
  const pool = poolOf(t);
  await assert.rejects(pool.run("failBuild", undefined), (error) => {
    assert.ok(error instanceof BuildError);
    assert.deepEqual([error.code, error.message, error.hint], ["copy-failed", "Cannot copy", "Try"]);
    assert.equal((error.cause as Error).message, "why");
    return true;
  });
  await assert.rejects(pool.run("failBug", undefined), { name: "TypeError", message: "a bug" });
  await assert.rejects(pool.run("nothing", undefined), /no task is called "nothing"/);
  await assert.rejects(
    pool.run("double", () => {}),
    { name: "DataCloneError" },
  );
  assert.equal(await pool.run("double", 1), 2);
});

test("bytes stream into a task, and a slow task holds the sender back", async (t) => {
  const pool = poolOf(t);
  let sent = 0;
  async function* bytes() {
    for (; sent < 40; sent++) yield new Uint8Array(1 << 20).fill(1);
  }
  const sum = pool.run("sumBytes", 30, { input: bytes() });
  await new Promise((done) => setTimeout(done, 250));
  assert.ok(sent < 20, `${sent} of 40 MiB were sent before they were wanted`);
  assert.equal(await sum, 40 << 20);
});

test("a thread takes a second task while the bytes of the first have yet to come, and no third", async (t) => {
  const pool = poolOf(t, 1);
  const asked: string[] = [];
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  async function* bytes(name: string, wait?: Promise<void>) {
    asked.push(name);
    await wait;
    yield new Uint8Array(3).fill(1);
  }
  const held = ["first", "second"].map((name) => pool.run("sumBytes", 0, { input: bytes(name, gate) }));
  const third = pool.run("sumBytes", 0, { input: bytes("third") });
  const plain = pool.run("double", 1);
  await new Promise((done) => setTimeout(done, 100));
  assert.deepEqual(asked, ["first", "second"]);
  open();
  assert.deepEqual(await Promise.all([...held, third, plain]), [3, 3, 3, 2]);
});

test("a failing source of bytes fails the task", async (t) => {
  const pool = poolOf(t);
  async function* bytes() {
    yield new Uint8Array(3);
    throw new BuildError("registry", "Cannot download");
  }
  await assert.rejects(pool.run("sumBytes", 0, { input: bytes() }), { code: "registry" });
});

test("an abort reaches tasks in a synchronous loop, waiting ones and queued ones", async (t) => {
  const pool = poolOf(t, 2);
  const abort = new AbortController();
  const { signal } = abort;
  const spinning = Promise.withResolvers<unknown>();
  const runs = [
    pool.run("spin", undefined, { signal, onEvent: spinning.resolve }),
    pool.run("untilAborted", undefined, { signal }),
    pool.run("double", 1, { signal }),
  ];
  const settled = Promise.allSettled(runs);
  assert.equal(await spinning.promise, "spinning");
  abort.abort();
  for (const result of await settled) {
    assert.equal(result.status, "rejected");
    assert.equal((result.reason as BuildError).code, "aborted");
  }
  assert.equal(await pool.run("double", 4), 8);
  await assert.rejects(pool.run("double", 4, { signal }), { code: "aborted" });
});

test("subtasks run even when every thread is held by a parent", async (t) => {
  const pool = poolOf(t, 2);
  const results = await Promise.all([1, 2, 3].map(() => pool.run("parent", 10)));
  for (const result of results) assert.deepEqual(result, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
});

test("threads that free their buffers for the first time at the same moment do not disturb each other", async () => {
  const threads = 4;
  for (let round = 0; round < 5; round++) {
    await using pool = makeThreadPool({ entry, size: threads });
    const barrier = new SharedArrayBuffer(4);
    await Promise.all(Array.from({ length: threads }, () => pool.run("dropBytes", { barrier, threads })));
  }
});

test("a thread that ends fails its task only", async (t) => {
  const pool = poolOf(t, 1);
  await assert.rejects(pool.run("crash", undefined), /worker thread ended with code 3/);
  assert.equal(await pool.run("double", 5), 10);
});

test("a closed pool refuses work and fails what is under way", async () => {
  const pool = makeThreadPool({ entry, size: 1 });
  const waiting = pool.run("untilAborted", undefined);
  const failed = assert.rejects(waiting, /closed/);
  await pool[Symbol.asyncDispose]();
  await failed;
  await assert.rejects(pool.run("double", 1), /closed/);
});
