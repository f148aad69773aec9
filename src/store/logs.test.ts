import assert from "node:assert/strict";
import { test } from "node:test";
import { makeLogKeeper } from "./logs.ts";

test("makeLogKeeper() keeps a short log as it came", () => {
  const log = makeLogKeeper();
  log.add("stdout", Buffer.from("one\n"));
  log.add("stderr", Buffer.from("two\n"));
  assert.deepEqual(
    log.chunks().map(({ stream, data }) => [stream, Buffer.from(data).toString()]),
    [
      ["stdout", "one\n"],
      ["stderr", "two\n"],
    ],
  );
});

test("makeLogKeeper() cuts the middle out of a long one", () => {
  const log = makeLogKeeper();
  for (let n = 0; n < 200_000; n++) log.add("stdout", Buffer.from(`line ${n}\n`));
  const text = Buffer.concat(log.chunks().map(({ data }) => data)).toString();
  assert.ok(text.length < (512 << 10) + 100, String(text.length));
  assert.ok(text.startsWith("line 0\nline 1\n"));
  assert.ok(text.endsWith("line 199998\nline 199999\n"));
  const [, dropped] = /\n\[(\d+) bytes are not kept\]\n/.exec(text)!;
  const whole = Array.from({ length: 200_000 }, (_, n) => `line ${n}\n`.length).reduce((a, b) => a + b);
  assert.equal(Number(dropped), whole - (512 << 10));
});

test("makeLogKeeper() keeps the order of streams that take turns, in little memory", () => {
  const log = makeLogKeeper();
  const before = process.memoryUsage().rss;
  for (let n = 0; n < 100_000; n++) log.add(n % 2 === 0 ? "stdout" : "stderr", Buffer.from([97 + (n % 26)]));
  const chunks = log.chunks();
  assert.equal(chunks.length, 100_000);
  assert.deepEqual(
    chunks.slice(0, 3).map(({ stream, data }) => `${stream} ${data[0]}`),
    ["stdout 97", "stderr 98", "stdout 99"],
  );
  assert.ok(process.memoryUsage().rss - before < 100 << 20);
});
