import type { KeyChange } from "../cache/explain-miss.ts";
import { BuildError } from "../errors/build-error.ts";
import type { ImageAccess } from "../image/image-access.ts";
import {
  listBuildSteps,
  listBuilds as listStoredBuilds,
  removeBuild,
  type StoredBuild,
  type StoredBuildStep,
} from "../store/builds.ts";
import type { Store } from "../store/open-store.ts";
import { type BuildChoice, findBuild } from "./find-build.ts";

/** A build that the store remembers, by its steps. */
export interface RememberedBuild extends StoredBuild {
  readonly steps: readonly RememberedStep[];
}

export interface RememberedStep extends Omit<StoredBuildStep, "parts" | "changes"> {
  /** What went into its key. */
  readonly parts: Readonly<Record<string, unknown>>;
  /** What was other than in an earlier build; empty for what came from the cache. */
  readonly changes: readonly KeyChange[];
}

/** The newest first. */
export function listBuilds({ store }: ImageAccess): readonly RememberedBuild[] {
  return listStoredBuilds(store).map((build) => withSteps(store, build));
}

/**
 * The build whose id begins like that; without an id the newest one.
 *
 * @throws BuildError `option-invalid` when there is none, or more than one.
 */
export function readBuild({ store }: ImageAccess, id?: string, choice?: BuildChoice): RememberedBuild {
  return withSteps(store, findBuild(store, id, choice));
}

/**
 * Forgets builds; what they made stays.
 *
 * @param ids the beginnings are enough; all that have ended when absent.
 * @returns the ids of those that are forgotten.
 * @throws BuildError `option-invalid` when one is not there, or runs; then none is forgotten.
 */
export function forgetBuilds({ store }: ImageAccess, ids?: readonly string[]): readonly string[] {
  const builds =
    ids === undefined
      ? listStoredBuilds(store).filter(({ outcome }) => outcome !== "running")
      : ids.map((id) => findBuild(store, id));
  for (const { id, outcome } of builds) {
    if (outcome === "running") {
      throw new BuildError("option-invalid", `Cannot forget the build "${id}": it is running`);
    }
  }
  for (const { id } of builds) removeBuild(store, id);
  return builds.map(({ id }) => id);
}

function withSteps(store: Store, build: StoredBuild): RememberedBuild {
  const steps = listBuildSteps(store, build.id).map((step) => ({
    ...step,
    parts: JSON.parse(step.parts) as RememberedStep["parts"],
    changes: JSON.parse(step.changes) as RememberedStep["changes"],
  }));
  return { ...build, steps };
}
