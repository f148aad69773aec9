import type { Step, StepId } from "./plan.ts";

type WithoutId<S> = S extends Step ? Omit<S, "id"> : never;

/** A step before it has its place in the plan. */
export type StepDraft = WithoutId<Step>;

/** Collects the steps of a plan. Two that do the same are one step, across stages and platforms. */
export interface StepList {
  /** The step's id: of the one that was there already, when the new one does the same. */
  add(draft: StepDraft): StepId;
  readonly steps: readonly Step[];
}

export function makeStepList(): StepList {
  const steps: Step[] = [];
  const ids = new Map<string, StepId>();
  const nameEnv = makeEnvNames();
  return {
    steps,
    add(draft) {
      const key = describeWork(draft, nameEnv);
      const known = ids.get(key);
      if (known !== undefined) return known;
      const id = steps.length;
      steps.push({ ...draft, id });
      ids.set(key, id);
      return id;
    },
  };
}

/** What a step does, as text: all but what people call it and where it stands. */
function describeWork(draft: StepDraft, nameEnv: (env: readonly string[]) => number): string {
  const { name: _name, stage: _stage, span: _span, ...work } = draft;
  // A context is the same tree for every platform.
  if (work.kind === "source" && work.source.kind !== "image") return JSON.stringify(work.source);
  return JSON.stringify(work.kind === "run" ? { ...work, env: nameEnv(work.env) } : work);
}

/** A number for each environment: RUNs that follow each other share one, and it is long. */
function makeEnvNames(): (env: readonly string[]) => number {
  const byText = new Map<string, number>();
  const byList = new WeakMap<readonly string[], number>();
  return (env) => {
    let number = byList.get(env);
    if (number === undefined) {
      const text = JSON.stringify(env);
      number = byText.get(text) ?? byText.size;
      byText.set(text, number);
      byList.set(env, number);
    }
    return number;
  };
}
