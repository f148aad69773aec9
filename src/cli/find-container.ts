import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import { findContainer, listContainers, type StoredContainer } from "../store/containers.ts";
import type { Store } from "../store/open-store.ts";

/** @throws BuildError `image-not-found` unless it may be missing. */
export function findNamedContainer(store: Store, name: string): StoredContainer;
export function findNamedContainer(
  store: Store,
  name: string,
  options: { readonly mayBeMissing: boolean },
): StoredContainer | undefined;
export function findNamedContainer(
  store: Store,
  name: string,
  options = { mayBeMissing: false },
): StoredContainer | undefined {
  const container = findContainer(store, name);
  if (container !== undefined || options.mayBeMissing) return container;
  const names = listContainers(store).map((one) => one.name);
  throw new BuildError("image-not-found", `Cannot find the container "${name}": there is none of that name`, {
    hint: hintNearest(name, names),
  });
}
