import assert from "node:assert/strict";
import { test } from "node:test";
import type { BuildEvent } from "./event.ts";
import { renderPlain } from "./render-plain.ts";

const START = 1_700_000_000_000;

type Brief = BuildEvent extends infer Event
  ? Event extends BuildEvent
    ? Omit<Event, "time">
    : never
  : never;

/** Renders events; each has the milliseconds since the start in front. */
function render(events: readonly (readonly [ms: number, event: Brief])[]): string {
  let text = "";
  const renderer = renderPlain({ write: (part) => (text += part) });
  for (const [ms, event] of events) renderer.emit({ ...event, time: START + ms } as BuildEvent);
  renderer.close(true);
  return text;
}

const start = (id: string, name: string): Brief => ({ kind: "start", id, name });
const end = (id: string, outcome: "done" | "cached" | "failed" | "canceled" = "done"): Brief => ({
  kind: "end",
  id,
  outcome,
});
const log = (id: string, data: string | Uint8Array, stream: "stdout" | "stderr" = "stdout"): Brief => ({
  kind: "log",
  id,
  stream,
  data: Buffer.from(data),
});

test("a step has its name, its output with times, and its end", () => {
  const text = render([
    [0, start("a", "[1/2] RUN make")],
    [512, log("a", "one\ntwo\n")],
    [1234, end("a")],
    [1300, start("b", "[2/2] COPY . .")],
    [1301, end("b", "cached")],
    [1400, start("c", "RUN false")],
    [1500, end("c", "failed")],
  ]);
  assert.equal(
    text,
    `#1 [1/2] RUN make
#1 0.512 one
#1 0.512 two
#1 DONE 1.2s

#2 [2/2] COPY . .
#2 CACHED

#3 RUN false
#3 ERROR

`,
  );
});

test("the output of steps that run at once stays together, and waits two seconds at most", () => {
  const text = render([
    [0, start("a", "A")],
    [10, start("b", "B")],
    [100, log("a", "a1\n")],
    [200, log("b", "b1\n")],
    [300, log("a", "a2\n")],
    [2300, log("a", "a3\n")],
    [2400, log("b", "b2\n")],
    [2500, end("b")],
    [2600, end("a")],
  ]);
  assert.equal(
    text,
    `#1 A
#1 0.100 a1
#1 0.300 a2
#1 2.300 a3
#1 ...

#2 B
#2 0.190 b1
#2 2.390 b2
#2 DONE 2.5s

#1 A
#1 DONE 2.6s

`,
  );
});

test("chunks may end inside a line and inside a character", () => {
  const bytes = Buffer.from("grün\nrest");
  const text = render([
    [0, start("a", "A")],
    [10, log("a", bytes.subarray(0, 3))],
    [20, log("a", "error", "stderr")],
    [30, log("a", bytes.subarray(3))],
    [40, end("a")],
  ]);
  assert.match(text, /^#1 A\n#1 0\.030 grün\n#1 0\.040 rest\n#1 0\.040 error\n#1 DONE/);
});

test("colours of a log stay, all else that a terminal would obey goes", () => {
  const text = render([
    [0, start("a", "A")],
    [10, log("a", "\u001b[31mred\u001b[2J\u001b]0;title\u0007\u0007\n10%\r20%\r\n")],
    [20, end("a")],
  ]);
  assert.match(text, /\n#1 0\.010 \u001b\[31mred\u001b\[0m\n#1 0\.010 20%\n/);
});

test("bytes are told every five seconds, and at the end", () => {
  const bytes = (doneBytes: number): Brief => ({
    kind: "progress",
    id: "a",
    label: "sha256:1",
    doneBytes,
    totalBytes: 4e6,
  });
  const text = render([
    [0, start("a", "pull")],
    [1000, bytes(1e6)],
    [5100, bytes(2e6)],
    [6000, bytes(3e6)],
    [7000, bytes(4e6)],
    [7100, end("a")],
  ]);
  assert.equal(text, "#1 pull\n#1 sha256:1 2MB / 4MB\n#1 sha256:1 4MB / 4MB\n#1 DONE 7.1s\n\n");
});

test("a warning says where, and nothing at all is written for a build of no steps", () => {
  const span = { file: "Dockerfile", startLine: 3, endLine: 3 };
  assert.equal(
    render([[0, { kind: "warning", message: "old form", span }]]),
    "WARNING: old form (Dockerfile:3)\n",
  );
  assert.equal(render([]), "");
});

test("steps that never ended are told to the end of what is known", () => {
  const text = render([
    [0, start("a", "A")],
    [1, start("b", "B")],
    [2, log("b", "b1\n")],
  ]);
  assert.match(text, /#2 B\n#2 0\.001 b1\n/);
});
