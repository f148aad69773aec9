import { BuildError } from "../errors/build-error.ts";
import { listBuilds, type StoredBuild } from "../store/builds.ts";
import type { Store } from "../store/open-store.ts";

/** Which build is meant where no id says it. */
export interface BuildChoice {
  /** The newest of those that run, or of those that have ended (the default), if there is any such. */
  readonly prefer?: "running" | "ended";
}

/**
 * The build whose id begins like that; without an id the newest one.
 *
 * @throws BuildError `option-invalid` when there is none, or more than one.
 */
export function findBuild(
  store: Store,
  id: string | undefined,
  { prefer = "ended" }: BuildChoice = {},
): StoredBuild {
  const builds = listBuilds(store);
  const preferred = builds.filter(({ outcome }) => (outcome === "running") === (prefer === "running"));
  const found =
    id === undefined
      ? (preferred.length === 0 ? builds : preferred).slice(0, 1)
      : builds.filter((build) => build.id.startsWith(id));
  const [build] = found;
  if (build !== undefined && found.length === 1) return build;
  const reason = found.length > 1 ? "more than one build begins with it" : "no such build is remembered";
  throw new BuildError(
    "option-invalid",
    id === undefined ? "Cannot find a build: none is remembered" : `Cannot find the build "${id}": ${reason}`,
    { hint: id === undefined ? undefined : 'List them with "slipway history ls"' },
  );
}
