import assert from "node:assert/strict";
import { describe, it } from "node:test";
import xterm from "@xterm/headless";
import { makeRedrawLines } from "./redraw-lines.ts";

/** A real terminal without a window, and what is drawn into it. */
function openTerminal(columns: number, rows: number) {
  const terminal = new xterm.Terminal({
    cols: columns,
    rows,
    scrollback: 1000,
    convertEol: true,
    allowProposedApi: true,
  });
  const writes: string[] = [];
  const stream = { columns, rows, write: (text: string) => writes.push(text) };
  const redraw = makeRedrawLines(stream);
  const flush = (text = "") => new Promise<void>((resolve) => terminal.write(text, resolve));
  return {
    writes,
    async draw(settled: readonly string[], lines: readonly string[]) {
      const before = writes.length;
      redraw(settled, lines);
      for (const text of writes.slice(before)) await flush(text);
    },
    resize(newColumns: number, newRows: number) {
      terminal.resize(newColumns, newRows);
      Object.assign(stream, { columns: newColumns, rows: newRows });
    },
    /** All lines, those that scrolled away first, without empty ones at the end. */
    text(): readonly string[] {
      const { active } = terminal.buffer;
      const lines = Array.from({ length: active.length }, (_, row) =>
        active.getLine(row)!.translateToString(true),
      );
      return lines.slice(0, lines.findLastIndex((line) => line !== "") + 1);
    },
  };
}

describe("makeRedrawLines()", () => {
  it("keeps every line that settled, also more of them at once than the screen has rows", async () => {
    const { draw, text } = openTerminal(80, 10);
    const settled = Array.from({ length: 60 }, (_, step) => `step ${step}`);
    await draw([], ["running"]);
    await draw(settled, ["running", "1 of 61"]);
    await draw(["last"], []);
    assert.deepEqual(text(), [...settled, "last"]);
  });

  it("leaves nothing behind when the window becomes narrower and wider", async () => {
    const { draw, resize, text } = openTerminal(80, 30);
    const frame = (columns: number) => Array.from("abcde", (letter) => letter.repeat(columns - 1));
    await draw(["settled"], frame(80));
    for (const columns of [40, 120, 25, 80]) {
      resize(columns, 30);
      await draw([], frame(columns));
      assert.deepEqual(text(), ["settled", ...frame(columns)]);
    }
  });

  it("stays right when the window becomes lower and higher", async () => {
    const { draw, resize, text } = openTerminal(40, 20);
    await draw(
      ["settled"],
      Array.from({ length: 18 }, (_, row) => `row ${row}`),
    );
    resize(40, 6);
    await draw([], ["a", "b"]);
    resize(40, 20);
    await draw(["more"], ["c"]);
    assert.deepEqual(text().slice(-2), ["more", "c"]);
  });

  it("writes once, only the lines that differ, and nothing when none does", async () => {
    const { draw, text, writes } = openTerminal(80, 24);
    const long = "unchanged".repeat(8);
    await draw([], [long, "time 1", long]);
    await draw([], [long, "time 2", long]);
    await draw([], [long, "time 2", long]);
    assert.equal(writes.length, 2);
    assert.doesNotMatch(writes[1]!, /unchanged/);
    // Contour's and iTerm's specification of synchronized output: set and reset of the private mode 2026 around it.
    assert.match(writes[1]!, /^\u001b\[\?2026h.*\u001b\[\?2026l$/s);
    assert.deepEqual(text(), [long, "time 2", long]);
  });

  it("takes away lines that are no longer there", async () => {
    const { draw, text } = openTerminal(80, 24);
    await draw([], ["one", "two", "three"]);
    await draw([], ["one"]);
    assert.deepEqual(text(), ["one"]);
    await draw([], []);
    assert.deepEqual(text(), []);
  });
});
