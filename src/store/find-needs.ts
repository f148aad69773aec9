import { existsSync, readFileSync } from "node:fs";
import type { Digest } from "../oci/digest.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { Store } from "./open-store.ts";

/** What names and containers stand on. The values say whose it is. */
export interface Needs {
  readonly blobs: ReadonlyMap<Digest, string>;
  /** Layers that no blob of their image could make again. */
  readonly diffIds: ReadonlyMap<Digest, string>;
  /** Layers that a blob of their image could make again. */
  readonly spools: ReadonlySet<Digest>;
}

interface NeededImage {
  readonly name: string;
  readonly configDigest: Digest;
  readonly manifestDigest: Digest | null;
  readonly targetDigest: Digest | null;
}

/** Reads the documents of all images that have a name or a container. To look at them is not to use them. */
export function findNeeds(store: Store): Needs {
  const blobs = new Map<Digest, string>();
  const diffIds = new Map<Digest, string>();
  const spools = new Set<Digest>();
  for (const { name, configDigest, manifestDigest, targetDigest } of listNeeded(store)) {
    for (const digest of [configDigest, manifestDigest, targetDigest])
      if (digest !== null) blobs.set(digest, name);
    const config = readDocument<ImageConfig>(store, configDigest);
    const manifest = manifestDigest === null ? undefined : readDocument<Manifest>(store, manifestDigest);
    for (const [position, diffId] of (config?.rootfs?.diff_ids ?? []).entries()) {
      const blob = manifest?.layers?.[position]?.digest;
      if (blob !== undefined && existsSync(store.blobPath(blob))) {
        blobs.set(blob, name);
        spools.add(diffId);
      } else diffIds.set(diffId, name);
    }
  }
  return { blobs, diffIds, spools };
}

function listNeeded({ database }: Store): NeededImage[] {
  return database
    .prepare(
      `SELECT owners.name AS name, images.config_digest AS configDigest, manifest_digest AS manifestDigest, target_digest AS targetDigest
       FROM (SELECT name, config_digest, target_digest FROM tags
         UNION ALL SELECT 'container ' || name, config_digest, NULL FROM containers) AS owners
       JOIN images ON images.config_digest = owners.config_digest`,
    )
    .all() as unknown as NeededImage[];
}

/** Undefined when it is damaged or missing: `verify` tells. */
function readDocument<T>(store: Store, digest: Digest): Partial<T> | undefined {
  try {
    return JSON.parse(readFileSync(store.blobPath(digest), "utf8")) as Partial<T>;
  } catch {
    return undefined;
  }
}
