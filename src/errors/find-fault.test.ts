import assert from "node:assert/strict";
import { test } from "node:test";
import { findFault } from "./find-fault.ts";

/** The marked text, with its line. */
function mark(message: string, text: string, startLine = 1): string | undefined {
  const lines = text.split("\n");
  const place = findFault(message, { file: "f", startLine, endLine: lines.length, startColumn: 1 }, lines);
  return (
    place && `${place.line}: ${lines[place.line - 1]!.slice(place.startColumn - 1, place.endColumn - 1)}`
  );
}

test("findFault() marks what the message quotes, the reason before the value", () => {
  const mount = "RUN --mount=type=cache,traget=/x true";
  assert.equal(
    mark(`Cannot use "--mount=type=cache,traget=/x": unexpected key 'traget'`, mount),
    "1: traget",
  );
  assert.equal(mark('Cannot expand "${B": the end is missing', "ENV A=${B"), "1: ${B");
  assert.equal(mark('Cannot expand ""x": a quote is open', 'ENV A="x'), '1: "x');
  assert.equal(mark('Cannot copy "/a.txt": it is not there', "COPY a.txt /b"), "1: a.txt");
});

test("findFault() looks at all lines of the instruction", () => {
  assert.equal(mark('Cannot copy "/b": it is not there', "COPY a \\\n  b \\\n  /to/"), "2: b");
});

test("findFault() marks nothing where the text is not told, stands twice, is a part of a word, or is the keyword", () => {
  assert.equal(mark('Cannot parse "COPY": it needs two arguments', "COPY a"), undefined);
  assert.equal(mark('Cannot copy "/a": it is not there', "COPY a a /b"), undefined);
  assert.equal(mark('Cannot copy "/a": it is not there', "COPY --chown=ab ba /b"), undefined);
  assert.equal(mark("Cannot run it", "RUN x"), undefined);
  const command = 'echo "::x"; false';
  assert.equal(
    mark(`Cannot run "/bin/sh -c ${command}": it ended with exit code 1`, `RUN ${command}`),
    undefined,
  );
});

test("findFault() keeps a place that is known", () => {
  const span = { file: "f", startLine: 1, endLine: 1, startColumn: 5, endColumn: 6 };
  assert.deepEqual(findFault('Cannot use "x": no', span, ["RUN a x"]), {
    line: 1,
    startColumn: 5,
    endColumn: 6,
  });
});
