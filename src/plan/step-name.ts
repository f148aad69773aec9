import { type ExpandOptions, expandWord } from "../dockerfile/expand-word.ts";
import type { Environment } from "../dockerfile/variable.ts";
import { BuildError } from "../errors/build-error.ts";
import { formatPlatform } from "../oci/platform.ts";
import type { PlanContext } from "./plan-context.ts";
import { type CopyBudget, type StageState, spendText } from "./stage-state.ts";

/** What a step is called: `[builder 2/4] RUN go build`. Takes the next number of the stage. */
export function nameStep(
  context: PlanContext,
  state: StageState,
  command: { readonly text: string; readonly isTrigger?: boolean },
): string {
  state.stepNumber++;
  const width = String(state.stepTotal).length;
  const parts = [
    ...(context.options.platforms.length > 1 ? [formatPlatform(state.platform)] : []),
    ...(context.stageCount > 1 ? [state.node.title] : []),
    `${String(state.stepNumber).padStart(width)}/${state.stepTotal}`,
  ];
  return `[${parts.join(" ")}] ${command.isTrigger ? "ONBUILD " : ""}${command.text}`;
}

/** An instruction's line as a name: the keyword in capitals, variables expanded; as written when they cannot be. */
export function displayLine(
  { env, budget }: { readonly env: Environment; readonly budget: CopyBudget },
  line: string,
  options: ExpandOptions,
): string {
  const capital = line.replace(/^\S+/, (keyword) => keyword.toUpperCase());
  let name = capital;
  try {
    name = expandWord(capital, env, options);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
  }
  if (name.length > line.length) spendText(budget, name.length - line.length);
  return name;
}
