import { BuildError } from "../errors/build-error.ts";
import { type ImageReference, parseImageReference } from "./reference.ts";

/** A repository, for `--all-tags`. `verb` begins the message. @throws BuildError `option-invalid` for a name with a tag or digest. */
export function parseUntagged(text: string, verb: "pull" | "push"): ImageReference {
  const { tag: _, ...untagged } = parseImageReference(text);
  if (!/[:@][^/]*$/.test(text)) return untagged;
  throw new BuildError("option-invalid", `Cannot ${verb} all tags of "${text}": it names one of them`);
}
