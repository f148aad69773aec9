import type { ImageDifference, Reproduction } from "../index.ts";
import { cleanLine } from "./clean-line.ts";
import { describeAspects } from "./describe-change.ts";

/** `equal: linux/amd64 is what app:1 is`, or the first difference and where it comes from. */
export function describeReproduction(found: Reproduction): string {
  const { original, platform, outcome, difference, createdBy } = found;
  switch (outcome) {
    case "equal":
      return `equal: ${platform} is ${original}, byte for byte\n`;
    case "recompressed":
      return `equal: ${platform} has the files and the config of ${original} (same diff IDs); the encoders of its layers differ\n`;
    case "different": {
      const origin = createdBy === undefined ? "" : `\n  made by ${cleanLine(createdBy)}`;
      return `different: ${platform} is not ${original}: ${describeDifference(difference!)}${origin}${hint(difference!)}\n`;
    }
  }
}

/** Times that are those of the steps are others each time. */
function hint(difference: ImageDifference): string {
  const isTime =
    difference.kind === "config"
      ? /created$/.test(difference.field)
      : difference.kind === "file" &&
        difference.change.kind === "changed" &&
        difference.change.what.join() === "time";
  return isTime ? "\n  Hint: give both builds the same --source-date-epoch and --rewrite-timestamp" : "";
}

function describeDifference(difference: ImageDifference): string {
  switch (difference.kind) {
    case "file": {
      const { change, layer } = difference;
      const { path } = change.kind === "removed" ? change.before : change.after;
      const what =
        change.kind === "changed"
          ? describeAspects(change)
          : change.kind === "added"
            ? "only the new image has it"
            : "the new image has it not";
      return `${cleanLine(path)} in layer ${layer + 1} (${what})`;
    }
    case "layer":
      return `layer ${difference.layer + 1} holds the same files in another form`;
    case "config": {
      const { field, before, after } = difference;
      return `the field ${cleanLine(field)} of its config was ${showValue(before)} and is ${showValue(after)}`;
    }
  }
}

function showValue(value: unknown): string {
  return value === undefined ? "not there" : cleanLine(JSON.stringify(value));
}
