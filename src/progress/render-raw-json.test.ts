import assert from "node:assert/strict";
import { test } from "node:test";
import { renderRawJson } from "./render-raw-json.ts";

test("events are lines of BuildKit's SolveStatus", () => {
  let text = "";
  const { emit } = renderRawJson({ write: (part) => (text += part) });
  const at = (ms: number) => Date.UTC(2024, 0, 31) + ms;
  emit({ kind: "start", time: at(0), id: "step 1", name: "RUN make", stage: "" });
  emit({ kind: "log", time: at(5), id: "step 1", stream: "stderr", data: Buffer.from("hi\n") });
  emit({ kind: "progress", time: at(6), id: "step 1", label: "downloaded", doneBytes: 5, totalBytes: 9 });
  emit({ kind: "end", time: at(7), id: "step 1", outcome: "failed", error: "Cannot run it: why" });
  emit({
    kind: "warning",
    time: at(8),
    message: "odd",
    span: { file: "Dockerfile", startLine: 2, endLine: 3 },
  });
  const [start, log, status, end, warning] = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const digest: string = start.vertexes[0].digest;
  assert.match(digest, /^sha256:[0-9a-f]{64}$/);
  assert.deepEqual(start, { vertexes: [{ digest, name: "RUN make", started: "2024-01-31T00:00:00.000Z" }] });
  assert.deepEqual(log.logs, [
    { vertex: digest, stream: 2, data: "aGkK", timestamp: "2024-01-31T00:00:00.005Z" },
  ]);
  assert.deepEqual(
    { ...status.statuses[0], timestamp: undefined, started: undefined },
    { id: "downloaded", vertex: digest, total: 9, current: 5, timestamp: undefined, started: undefined },
  );
  assert.deepEqual(
    [end.vertexes[0].digest, end.vertexes[0].completed, end.vertexes[0].error],
    [digest, "2024-01-31T00:00:00.007Z", "Cannot run it: why"],
  );
  assert.equal(Buffer.from(warning.warnings[0].short, "base64").toString(), "odd");
  assert.deepEqual(warning.warnings[0].range, [{ start: { line: 2 }, end: { line: 3 } }]);
});
