import { rmSync } from "node:fs";
import type { Digest } from "../oci/digest.ts";
import { addEntry, CanonicalHash } from "./canonical-hash.ts";
import type { CopyTree } from "./copy-request.ts";
import { findSources } from "./find-sources.ts";
import { ROOT } from "./rootfs-path.ts";
import { type SelectOptions, selectCopy } from "./select-copy.ts";
import { openSourceTree } from "./source-tree.ts";

export interface DigestSubtreeRequest {
  readonly tree: CopyTree;
  /** Text, absolute in the tree; symlinks on the way are followed. No wildcards. */
  readonly path: string;
  readonly temporaryDirectory: string;
}

/**
 * The digest of a file, or of a directory and all in it, as a content key has it: for what a RUN sees of a bind mount.
 * @throws BuildError `copy-source-missing`.
 */
export function digestSubtree(request: DigestSubtreeRequest, options: SelectOptions): Digest {
  const { tree, temporaryDirectory } = request;
  const path = request.path.replace(/[*?[\\]/g, "\\$&");
  const { selectionPath, contentDigest } = selectCopy(
    { sources: [{ kind: "path", tree, path }], destination: "/", temporaryDirectory },
    options,
  );
  rmSync(selectionPath, { force: true });
  // A mount shows the directory itself too, which a COPY leaves out.
  using source = openSourceTree(tree, options.makeIgnoreMatcher);
  const hash = new CanonicalHash().add(contentDigest);
  for (const { node } of findSources(source, path))
    addEntry(hash, { ...node.entry, path: ROOT, size: 0 }, "");
  return hash.digest();
}
