import { createHash } from "node:crypto";
import type { BuildEvent } from "./event.ts";
import type { ProgressRenderer, ProgressStream } from "./renderer.ts";

/**
 * One JSON object a line, in the shape of BuildKit's `SolveStatus` (client/graph.go): what buildx prints with `--progress=rawjson`. A note,
 * which BuildKit does not have, is a vertex that is completed as it begins.
 */
export function renderRawJson(stream: Pick<ProgressStream, "write">): ProgressRenderer {
  const started = new Map<string, { readonly name: string; readonly time: number }>();
  let notes = 0;
  const write = (status: SolveStatus) => stream.write(`${JSON.stringify(status)}\n`);
  const emit = (event: BuildEvent): void => {
    const time = formatTime(event.time);
    switch (event.kind) {
      case "note": {
        const name = `Note: ${event.message}`;
        write({
          vertexes: [{ digest: digestOf(`note ${notes++}`), name, started: time, completed: time }],
        });
        return;
      }
      case "warning":
        write({ warnings: [describeWarning(event)] });
        return;
      case "start":
        started.set(event.id, event);
        write({ vertexes: [{ digest: digestOf(event.id), name: event.name, started: time }] });
        return;
      case "log":
        write({
          logs: [
            {
              vertex: digestOf(event.id),
              stream: event.stream === "stdout" ? 1 : 2,
              data: Buffer.from(event.data).toString("base64"),
              timestamp: time,
            },
          ],
        });
        return;
      case "progress": {
        const { id, label, doneBytes, totalBytes } = event;
        const begun = started.get(id);
        write({
          statuses: [
            {
              id: label,
              vertex: digestOf(id),
              ...(totalBytes !== undefined && { total: totalBytes }),
              current: doneBytes,
              timestamp: time,
              ...(begun && { started: formatTime(begun.time) }),
              ...(doneBytes === totalBytes && { completed: time }),
            },
          ],
        });
        return;
      }
      case "end": {
        const begun = started.get(event.id);
        if (begun === undefined) return;
        started.delete(event.id);
        write({ vertexes: [endVertex(event, begun)] });
      }
    }
  };
  return { emit, close() {} };
}

interface SolveStatus {
  readonly vertexes?: readonly {
    readonly digest: string;
    readonly name: string;
    readonly started: string;
    readonly completed?: string;
    readonly cached?: true;
    readonly error?: string;
  }[];
  readonly statuses?: readonly object[];
  readonly logs?: readonly object[];
  readonly warnings?: readonly object[];
}

function endVertex(
  { id, time, outcome, error = "failed" }: Extract<BuildEvent, { kind: "end" }>,
  begun: { readonly name: string; readonly time: number },
) {
  return {
    digest: digestOf(id),
    name: begun.name,
    started: formatTime(begun.time),
    completed: formatTime(time),
    ...(outcome === "cached" && { cached: true as const }),
    ...(outcome === "failed" && { error }),
    ...(outcome === "canceled" && { error: "context canceled" }),
  };
}

function describeWarning({ message, span, check }: Extract<BuildEvent, { kind: "warning" }>) {
  const toBase64 = (text: string) => Buffer.from(text).toString("base64");
  return {
    level: 1,
    short: toBase64(check === undefined ? message : `${check.rule}: ${message}`),
    ...(check && { detail: [toBase64(check.description)], url: check.url }),
    ...(span && {
      sourceInfo: { filename: span.file },
      range: [{ start: { line: span.startLine }, end: { line: span.endLine } }],
    }),
  };
}

/** Vertexes are named by digests there. */
function digestOf(id: string): string {
  return `sha256:${createHash("sha256").update(id).digest("hex")}`;
}

function formatTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
