import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import type { Manifest } from "../oci/manifest.ts";
import { MEDIA_TYPE } from "../oci/media-type.ts";
import { formatPlatform, type Platform } from "../oci/platform.ts";
import { familiarRepository, type ImageReference } from "../oci/reference.ts";
import { writeBlob } from "../store/blobs.ts";
import type { Store } from "../store/open-store.ts";
import type { WrittenManifest } from "./assemble-image.ts";

/** A statement about an image, as in-toto has it: `predicateType` says what `predicate` is. */
export interface Attestation {
  readonly predicateType: string;
  readonly predicate: object;
}

const STATEMENT_TYPE = "https://in-toto.io/Statement/v0.1";
const STATEMENT_MEDIA_TYPE = "application/vnd.in-toto+json";
const NOWHERE: Platform = { architecture: "unknown", os: "unknown" };

/**
 * Writes what is said about an image as a manifest that stands beside the image's in an index, in BuildKit's form ("Image attestation
 * storage"): each statement is a layer, and the platform is one that no runtime has.
 */
export async function writeAttestations(
  store: Store,
  about: { readonly manifest: WrittenManifest; readonly names: readonly ImageReference[] },
  attestations: readonly Attestation[],
): Promise<WrittenManifest> {
  const { digest: subject, platform } = about.manifest.descriptor;
  const names = about.names.map((name) => nameSubject(name, platform!));
  const layers: Descriptor[] = [];
  for (const { predicateType, predicate } of attestations) {
    const statement = {
      _type: STATEMENT_TYPE,
      predicateType,
      subject: (names.length === 0 ? ["_"] : names).map((name) => ({ name, digest: asDigestSet(subject) })),
      predicate,
    };
    const layer = await writeJson(store, STATEMENT_MEDIA_TYPE, statement);
    layers.push({ ...layer, annotations: { "in-toto.io/predicate-type": predicateType } });
  }
  const config = await writeJson(store, MEDIA_TYPE.ociConfig, {
    ...NOWHERE,
    config: {},
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
  });
  const manifest: Manifest = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociManifest, config, layers };
  const descriptor: Descriptor = {
    ...(await writeJson(store, MEDIA_TYPE.ociManifest, manifest)),
    annotations: {
      "vnd.docker.reference.digest": subject,
      "vnd.docker.reference.type": "attestation-manifest",
    },
    platform: NOWHERE,
  };
  return { descriptor, manifest };
}

/** `{ sha256: HEX }` */
export function asDigestSet(digest: Digest): Readonly<Record<string, string>> {
  const [algorithm, hex] = digest.split(":") as [string, string];
  return { [algorithm]: hex };
}

/** A package URL: `pkg:docker/me/app@1?platform=linux%2Famd64`. */
export function nameSubject(reference: ImageReference, platform: Platform): string {
  const version = reference.tag ?? reference.digest;
  const qualifiers = `platform=${encodeURIComponent(formatPlatform(platform))}`;
  return `pkg:docker/${familiarRepository(reference)}${version === undefined ? "" : `@${version}`}?${qualifiers}`;
}

async function writeJson(store: Store, mediaType: string, value: object): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(value));
  await writeBlob(store, bytes);
  return { mediaType, digest: digestBytes(bytes), size: bytes.length };
}
