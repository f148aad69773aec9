import { rmSync } from "node:fs";
import type { Digest } from "../oci/digest.ts";
import { addEntry, CanonicalHash } from "./canonical-hash.ts";
import type { CopyTree } from "./copy-request.ts";
import { findSources } from "./find-sources.ts";
import { listSelection } from "./list-selection.ts";
import { escapeGlob } from "./match-glob.ts";
import { ROOT } from "./rootfs-path.ts";
import { type SelectOptions, selectCopy } from "./select-copy.ts";
import { openSourceTree } from "./source-tree.ts";

export interface DigestedSubtree {
  readonly digest: Digest;
  /** Of `listSelection`. */
  readonly files: Uint8Array;
}

export interface DigestSubtreeRequest {
  readonly tree: CopyTree;
  /** Text, absolute in the tree; symlinks on the way are followed. No wildcards. */
  readonly path: string;
  readonly temporaryDirectory: string;
}

/**
 * The digest of a file, or of a directory and all in it, as a content key has it, and the list of them: for what a RUN sees of a bind mount.
 * @throws BuildError `copy-source-missing`.
 */
export function digestSubtree(request: DigestSubtreeRequest, options: SelectOptions): DigestedSubtree {
  const { tree, temporaryDirectory } = request;
  const path = escapeGlob(request.path);
  const selection = selectCopy(
    { sources: [{ kind: "path", tree, path }], verb: "mount", destination: "/", temporaryDirectory },
    options,
  );
  const files = listSelection(selection);
  rmSync(selection.selectionPath, { force: true });
  // A mount shows the directory itself too, which a COPY leaves out.
  using source = openSourceTree(tree, options.makeIgnoreMatcher);
  const hash = new CanonicalHash().add(selection.contentDigest);
  for (const { node } of findSources(source, path))
    addEntry(hash, { ...node.entry, path: ROOT, size: 0 }, "");
  return { digest: hash.digest(), files };
}
