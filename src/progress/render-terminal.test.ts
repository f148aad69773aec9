import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { drawEnded, drawFrame } from "./draw-frame.ts";
import type { BuildEvent } from "./event.ts";
import { fitText, textWidth } from "./fit-text.ts";
import { makeLiveSteps } from "./live-steps.ts";
import { renderTerminal } from "./render-terminal.ts";
import { makeStyle } from "./style.ts";

const START = 1_700_000_000_000;
const plain = makeStyle(false);

function stepsAfter(events: readonly BuildEvent[]) {
  const steps = makeLiveSteps();
  const ended = events.flatMap((event) => steps.take(event) ?? []);
  return { steps, ended };
}

const event = (ms: number, rest: object) => ({ time: START + ms, ...rest }) as BuildEvent;
const log = (ms: number, id: string, text: string) =>
  event(ms, { kind: "log", id, stream: "stdout", data: Buffer.from(text) });

const BUSY = [
  event(0, {
    kind: "start",
    id: "a",
    name: "[builder 2/4] RUN go build ./... with a long command line after it",
  }),
  event(0, { kind: "start", id: "b", name: "pull alpine sha256:0123" }),
  log(
    100,
    "a",
    "first\n\u001b[2J\u001b[31mdanger\u001b[0m\n漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字\nhalf a li",
  ),
  event(900, { kind: "progress", id: "b", label: "x", doneBytes: 2e6, totalBytes: 4e6 }),
];

for (const columns of [20, 40, 80, 200]) {
  test(`no line of a frame is wider than ${columns} columns`, () => {
    const { steps } = stepsAfter(BUSY);
    const lines = drawFrame(steps, { style: plain, columns, rows: 24, now: START + 1000, startTime: START });
    for (const line of lines) assert.ok(textWidth(line) <= columns, `${textWidth(line)} columns: ${line}`);
    assert.match(lines[0]!, / 1\.0s$/);
    assert.match(lines.join("\n"), /│ danger\n/);
    assert.match(lines.at(-1)!, /^1\.0s {2}0\/2 done/);
  });
}

test("a frame shows a bar, bytes, their total and their rate where there is room", () => {
  const { steps } = stepsAfter(BUSY);
  const draw = (columns: number) =>
    drawFrame(steps, { style: plain, columns, rows: 24, now: START + 1000, startTime: START }).join("\n");
  assert.match(draw(80), /pull alpine sha256:0123 +━{8}╌{8} {2}2MB \/ 4MB {2}2MB\/s {2}1\.0s/);
  assert.match(draw(60), /pull alpine sha256:0123 +2MB \/ 4MB {2}2MB\/s {2}1\.0s/);
  assert.doesNotMatch(draw(30), /MB/);
});

test("a frame has room in a terminal of few rows, and says what it leaves out", () => {
  const starts = Array.from({ length: 9 }, (_, id) =>
    event(0, { kind: "start", id: String(id), name: `step ${id}` }),
  );
  const { steps } = stepsAfter([...starts, log(1, "0", "a\nb\nc\nd\ne\nf\n")]);
  for (const rows of [4, 6, 8, 12]) {
    const lines = drawFrame(steps, { style: plain, columns: 80, rows, now: START, startTime: START });
    assert.ok(lines.length < rows, `${lines.length} lines in ${rows} rows`);
    if (rows < 12) assert.match(lines.join("\n"), /and \d more/);
  }
});

test("what ended is one line with how it ended", () => {
  const { ended } = stepsAfter([
    event(0, { kind: "start", id: "a", name: "RUN make" }),
    event(61_500, { kind: "end", id: "a", outcome: "done" }),
    event(0, { kind: "start", id: "b", name: "RUN test" }),
    event(10, { kind: "end", id: "b", outcome: "cached" }),
    event(0, { kind: "start", id: "c", name: "RUN lint" }),
    event(1500, { kind: "end", id: "c", outcome: "failed" }),
  ]);
  assert.deepEqual(
    ended.map((step) => drawEnded(step, { style: plain, columns: 30 })),
    ["✔ RUN make               1m01s", "✔ RUN test              cached", "✘ RUN lint        failed  1.5s"],
  );
});

test("a text is cut to columns, not to characters", () => {
  assert.equal(fitText("漢字漢字", 5), "漢字…");
  assert.equal(fitText("abcdef", 6), "abcdef");
  assert.equal(fitText("abcdefg", 6), "abcde…");
  assert.equal(textWidth("e\u0301"), 1);
  // Emoji_Presentation of Unicode's emoji-data.txt, also below U+1F300; U+FE0F makes an emoji of a text character.
  assert.equal(textWidth("✅❌⭐⚡"), 8);
  assert.equal(textWidth("❤\ufe0f"), 2);
  assert.equal(fitText("✅✅✅✅", 6), "✅✅…");
  assert.equal(fitText("a\u0301".repeat(1000), 4), `${"a\u0301".repeat(3)}…`);
});

test("the view ends with a summary, without colours where none are wanted", () => {
  let text = "";
  const stream = { write: (part: string) => (text += part), columns: 40, rows: 10 };
  const renderer = renderTerminal(stream, { color: false, verb: "Built" });
  for (const one of [...BUSY, event(2000, { kind: "end", id: "a", outcome: "done" })]) renderer.emit(one);
  renderer.close(true);
  assert.doesNotMatch(text, /\u001b\[3\dm/);
  assert.match(
    stripVTControlCharacters(text),
    /✔ \[builder 2\/4\] RUN go.*2\.0s\nBuilt in \d+\.\ds: 1 step\n/,
  );
});
