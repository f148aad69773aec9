import type { SourceSpan } from "../errors/build-error.ts";
import type { Dockerfile } from "./instruction.ts";

/** A stage that can be built: a row of `--call targets`. */
export interface Target {
  /** Absent for a stage without a name, which only the last one can do without. */
  readonly name?: string;
  /** What the comment above FROM says about the name. */
  readonly description?: string;
  /** What is built when no target is given. */
  readonly isDefault: boolean;
  /** As written, variables and all. */
  readonly base: string;
  readonly platform?: string;
  readonly span: SourceSpan;
}

/** The stages of a Dockerfile in their order, as BuildKit's subrequest `frontend.targets` lists them. */
export function listTargets(dockerfile: Dockerfile): readonly Target[] {
  return dockerfile.stages.map(({ name, description, base, platform, span }, i) => ({
    name,
    description,
    isDefault: i === dockerfile.stages.length - 1,
    base,
    platform,
    span,
  }));
}
