import { BuildError } from "../errors/build-error.ts";
import { familiarName, parseImageReference } from "../oci/reference.ts";
import type { NamedContext, PlanOptions } from "./plan.ts";

/** A named context with the name that it was given by. */
export type FoundContext = NamedContext & { readonly name: string };

export type ContextLookup = (name: string) => FoundContext | undefined;

/**
 * Finds named contexts the way BuildKit does: names are image references, so `busybox`, `busybox:latest` and
 * `docker.io/library/busybox` are one. `scratch` and `context` are never overridden.
 */
export function makeContextLookup(contexts: PlanOptions["namedContexts"] = {}): ContextLookup {
  const byKey = new Map<string, FoundContext>();
  for (const [name, context] of Object.entries(contexts)) byKey.set(contextKey(name), { ...context, name });
  return (name) => {
    const lower = name.toLowerCase();
    return lower === "scratch" || lower === "context" ? undefined : byKey.get(contextKey(name));
  };
}

function contextKey(name: string): string {
  try {
    return familiarName(parseImageReference(name)).replace(/:latest$/, "");
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    // No reference: the name stands for itself.
    return name;
  }
}
