import { BuildError } from "../errors/build-error.ts";
import { type ImageReference, parseImageReference } from "../oci/reference.ts";

/**
 * Where images whose names begin with a prefix really are, after `[[registry]]` of containers-registries.conf(5).
 * Prefixes and locations are `host[:port]` or `host[:port]/path`.
 */
export interface RegistryRule {
  readonly prefix: string;
  /** Stands in the prefix's place, for pulls and pushes. */
  readonly location?: string;
  /** Tried before the location, in order, for pulls only. */
  readonly mirrors?: readonly string[];
  /** Refuses everything under the prefix. */
  readonly isBlocked?: boolean;
}

/**
 * The places to pull a reference from, best first; the last one is where it is pushed to. Of several rules the one
 * with the longest prefix counts.
 *
 * @throws BuildError `registry` when the rules block it; `option-invalid` when a rule makes no valid name.
 */
export function rewriteReference(
  reference: ImageReference,
  rules: readonly RegistryRule[],
): readonly [ImageReference, ...ImageReference[]] {
  const name = `${reference.registry}/${reference.repository}`;
  const rule = rules
    .filter(({ prefix }) => name === prefix || name.startsWith(`${prefix}/`))
    .sort((one, other) => other.prefix.length - one.prefix.length)[0];
  if (rule === undefined) return [reference];
  if (rule.isBlocked) {
    throw new BuildError("registry", `Cannot use "${name}": the configuration blocks "${rule.prefix}"`);
  }
  const rest = name.slice(rule.prefix.length);
  const places = [...(rule.mirrors ?? []), rule.location ?? rule.prefix].map((place) => {
    // The tag and digest stay the reference's: a place has none.
    const { registry, repository } = parseImageReference(`${place}${rest}`);
    return { ...reference, registry, repository };
  });
  return places as [ImageReference, ...ImageReference[]];
}
