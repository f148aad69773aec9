import { cleanText } from "./clean-text.ts";
import { drawEnded, drawFrame, formatSeconds } from "./draw-frame.ts";
import type { BuildEvent } from "./event.ts";
import { fitText } from "./fit-text.ts";
import { makeLiveSteps } from "./live-steps.ts";
import { makeRedrawLines, terminalSize } from "./redraw-lines.ts";
import type { ProgressRenderer, ProgressStream } from "./renderer.ts";
import { makeStyle } from "./style.ts";

const FRAME_MS = 100;

/** The live view: what has ended scrolls up and stays, what runs is redrawn below, ten times a second. */
export function renderTerminal(
  stream: ProgressStream,
  options: { readonly color: boolean; readonly verb: string },
): ProgressRenderer {
  const style = makeStyle(options.color);
  const steps = makeLiveSteps();
  const startTime = Date.now();
  const redraw = makeRedrawLines(stream);
  /** Lines that stay, for the next frame. */
  let settled: string[] = [];
  // One column stays free: a full line makes some terminals wrap.
  const columns = () => Math.max(20, terminalSize(stream).columns - 1);

  const draw = (): void => {
    if (settled.length === 0 && steps.counts.started === 0) return;
    const { rows } = terminalSize(stream);
    redraw(settled, drawFrame(steps, { style, columns: columns(), rows, now: Date.now(), startTime }));
    settled = [];
  };
  const timer = setInterval(draw, FRAME_MS);
  timer.unref();
  stream.on?.("resize", draw);

  return {
    emit(event: BuildEvent) {
      if (event.kind === "note" || event.kind === "warning") {
        const place = event.span === undefined ? "" : ` (${event.span.file}:${event.span.startLine})`;
        const text = fitText(cleanText(`${event.message}${place}`), 4 * columns());
        settled.push(
          event.kind === "note" ? style("dim", `Note: ${text}`) : `${style("yellow", "Warning:")} ${text}`,
        );
        return;
      }
      const ended = steps.take(event);
      if (ended !== undefined) settled.push(drawEnded(ended, { style, columns: columns() }));
    },
    close(isDone) {
      clearInterval(timer);
      stream.off?.("resize", draw);
      const { ended, cached } = steps.counts;
      const took = formatSeconds(Date.now() - startTime);
      const facts = `${ended} ${ended === 1 ? "step" : "steps"}${cached === 0 ? "" : `, ${cached} cached`}`;
      const summary = isDone
        ? `${style("green", options.verb)} in ${took}: ${facts}`
        : `${style("red", "Stopped")} after ${took}: ${facts}`;
      if (ended > 0) settled.push(summary);
      // Not even an escape sequence where there was nothing to show: the terminal may be another program's next.
      if (settled.length > 0 || steps.counts.started > 0) redraw(settled, []);
    },
  };
}
