import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import { findCiSystem } from "../progress/ci-marks.ts";
import type { ProgressRenderer } from "../progress/renderer.ts";
import { hasColor } from "../progress/style.ts";
import type { CommandContext } from "./command-context.ts";

export const PROGRESS_MODES = ["auto", "plain", "tty", "quiet", "rawjson"] as const;
export type ProgressMode = (typeof PROGRESS_MODES)[number];

/** @throws BuildError `option-invalid` for an unknown mode. */
export function parseProgressMode(text: string, what = "--progress"): ProgressMode {
  const mode = PROGRESS_MODES.find((known) => known === text);
  if (mode === undefined) {
    throw new BuildError("option-invalid", `Cannot use "${text}" for ${what}: there is no such mode`, {
      hint: hintNearest(text, PROGRESS_MODES) ?? `Modes are ${PROGRESS_MODES.join(", ")}`,
    });
  }
  return mode;
}

/**
 * Shows events on stderr: live on a terminal, else as plain lines. `verb` is for the summary: `Built`. That the command was asked to
 * stop is shown, too, for cleaning up takes its time.
 */
export async function startProgress(
  { stderr, env, signal }: CommandContext,
  options: { readonly mode: ProgressMode; readonly verb: string },
): Promise<ProgressRenderer> {
  const progress = await openRenderer({ stderr, env }, options);
  const tellStop = () =>
    progress.emit({ kind: "note", time: Date.now(), message: `${signal.reason.message}, cleaning up` });
  signal.addEventListener("abort", tellStop);
  return {
    emit: progress.emit,
    close(isDone) {
      signal.removeEventListener("abort", tellStop);
      progress.close(isDone);
    },
  };
}

async function openRenderer(
  { stderr, env }: Pick<CommandContext, "stderr" | "env">,
  { mode, verb }: { readonly mode: ProgressMode; readonly verb: string },
): Promise<ProgressRenderer> {
  if (mode === "rawjson") {
    const { renderRawJson } = await import("../progress/render-raw-json.ts");
    return renderRawJson(stderr);
  }
  if (mode === "quiet") return { emit() {}, close() {} };
  if (mode === "tty" || (mode === "auto" && stderr.isTTY && env.TERM !== "dumb")) {
    const { renderTerminal } = await import("../progress/render-terminal.ts");
    return renderTerminal(stderr, { color: hasColor(stderr, env), verb });
  }
  const { renderPlain } = await import("../progress/render-plain.ts");
  return renderPlain(stderr, { ciSystem: findCiSystem(env) });
}
