import { BuildError } from "../errors/build-error.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestHex, isDigest } from "../oci/digest.ts";
import type { Manifest } from "../oci/manifest.ts";
import { MEDIA_TYPE } from "../oci/media-type.ts";
import type { ImageReference } from "../oci/reference.ts";
import { fetchManifest, readLimitedBytes } from "./fetch-manifest.ts";
import { discardBody } from "./http-connections.ts";
import { putManifest } from "./put-manifest.ts";
import type { RequestOptions } from "./registry-client.ts";
import { makeAnswerError } from "./registry-error.ts";
import type { RegistrySession } from "./registry-session.ts";
import { requestPages } from "./request-pages.ts";

// Distribution spec 1.1, "Listing Referrers" and "Referrers Tag Schema".

/** What a manifest with a `subject` tells about itself in a list of referrers. */
export interface Subject {
  readonly subject: Digest;
  readonly about: Pick<Descriptor, "artifactType" | "annotations">;
}

/** The subject of a manifest or index; undefined when it has none. */
export function readSubject(bytes: Uint8Array): Subject | undefined {
  const manifest = JSON.parse(Buffer.from(bytes).toString("utf8")) as Partial<Manifest>;
  const digest = manifest.subject?.digest;
  if (digest === undefined || !isDigest(digest)) return undefined;
  const artifactType = manifest.artifactType ?? manifest.config?.mediaType;
  const { annotations } = manifest;
  return {
    subject: digest,
    about: { ...(artifactType && { artifactType }), ...(annotations && { annotations }) },
  };
}

/** By the API, page after page; by the referrers tag where there is none. */
export async function listReferrers(
  session: RegistrySession,
  reference: ImageReference,
  query: RequestOptions & { readonly digest: Digest; readonly artifactType?: string },
): Promise<readonly Descriptor[]> {
  const { digest, artifactType, signal } = query;
  const action = `Cannot list the referrers of "${digest}" in "${reference.registry}/${reference.repository}"`;
  const filter = artifactType === undefined ? "" : `?${new URLSearchParams({ artifactType })}`;
  const found: Descriptor[] = [];
  const request = {
    target: `/v2/${reference.repository}/referrers/${digest}${filter}`,
    headers: { accept: MEDIA_TYPE.ociIndex },
    scopes: [`repository:${reference.repository}:pull`],
    action,
    signal,
  };
  for await (const response of requestPages(session, request)) {
    if (response.status === 404) {
      await discardBody(response);
      found.push(...(await readTag(session, reference, { digest, signal })));
      break;
    }
    if (response.status !== 200) throw await makeAnswerError(response, session.about(action));
    found.push(...parseIndex(await readLimitedBytes(response, { action, limits: session.limits }), action));
  }
  // A registry need not filter, and the tag never does.
  return found.filter((entry) => artifactType === undefined || entry.artifactType === artifactType);
}

/** Adds an entry to the referrers tag of its subject. Two clients at once may lose one: the spec has no way around it. */
export async function addReferrer(
  session: RegistrySession,
  reference: ImageReference,
  entry: RequestOptions & { readonly subject: Digest; readonly referrer: Descriptor },
): Promise<void> {
  const { subject, referrer, signal } = entry;
  const known = await readTag(session, reference, { digest: subject, signal });
  if (known.some(({ digest }) => digest === referrer.digest)) return;
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: [...known, referrer] };
  await putManifest(session, tagOf(reference, subject), {
    mediaType: MEDIA_TYPE.ociIndex,
    bytes: Buffer.from(JSON.stringify(index)),
    signal,
  });
}

async function readTag(
  session: RegistrySession,
  reference: ImageReference,
  { digest, signal }: { digest: Digest; signal?: AbortSignal },
): Promise<readonly Descriptor[]> {
  const tag = tagOf(reference, digest);
  try {
    const { bytes } = await fetchManifest(session, tag, { signal });
    return parseIndex(bytes, `Cannot read the referrers tag "${tag.tag}"`);
  } catch (error) {
    if (error instanceof BuildError && error.code === "image-not-found") return [];
    throw error;
  }
}

function tagOf({ registry, repository }: ImageReference, digest: Digest): ImageReference {
  return { registry, repository, tag: `sha256-${digestHex(digest)}` };
}

function parseIndex(bytes: Uint8Array, action: string): readonly Descriptor[] {
  let manifests: unknown;
  try {
    manifests = JSON.parse(Buffer.from(bytes).toString("utf8"))?.manifests;
  } catch {
    // Said below.
  }
  if (!Array.isArray(manifests) || !manifests.every((entry) => isDigest(String(entry?.digest)))) {
    throw new BuildError("registry", `${action}: the registry's answer is no index`);
  }
  return manifests;
}
