import assert from "node:assert/strict";
import { test } from "node:test";
import type { BuildEvent } from "./event.ts";
import { limitProgress } from "./limit-progress.ts";

test("limitProgress() hands on an event every 100 ms for each label of a work, and the last one before its end", () => {
  const told: string[] = [];
  const emit = limitProgress((event) => {
    told.push(event.kind === "progress" ? `${event.id} ${event.label} ${event.doneBytes}` : event.kind);
  });
  const progress = (time: number, id: string, [label, doneBytes]: [string, number]) =>
    emit({ kind: "progress", time, id, label, doneBytes });
  const others: BuildEvent[] = [
    { kind: "start", time: 0, id: "a", name: "a" },
    { kind: "end", time: 260, id: "a", outcome: "done" },
  ];
  emit(others[0]!);
  progress(0, "a", ["x", 1]);
  progress(50, "a", ["x", 2]);
  progress(60, "a", ["y", 1]);
  progress(70, "b", ["x", 5]);
  progress(100, "a", ["x", 3]);
  progress(150, "b", ["x", 6]);
  progress(199, "a", ["x", 4]);
  progress(250, "a", ["x", 5]);
  emit(others[1]!);
  progress(261, "a", ["x", 0]);
  assert.deepEqual(told, ["start", "a x 1", "a y 1", "b x 5", "a x 3", "a x 5", "end", "a x 0"]);
});
