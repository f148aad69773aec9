import type { Descriptor } from "../oci/descriptor.ts";
import type { ImageReference } from "../oci/reference.ts";
import { putManifest } from "./put-manifest.ts";
import { addReferrer, readSubject } from "./referrers.ts";
import type { RequestOptions } from "./registry-client.ts";
import type { RegistrySession } from "./registry-session.ts";

/** Puts a manifest or index; keeps the list of its subject's referrers where the registry does not. */
export async function pushManifest(
  session: RegistrySession,
  reference: ImageReference,
  manifest: { readonly mediaType: string; readonly bytes: Uint8Array } & RequestOptions,
): Promise<Descriptor> {
  const { descriptor, knowsSubject } = await putManifest(session, reference, manifest);
  const subject = readSubject(manifest.bytes);
  if (subject !== undefined && !knowsSubject) {
    const referrer = { ...descriptor, ...subject.about };
    await addReferrer(session, reference, { subject: subject.subject, referrer, signal: manifest.signal });
  }
  return descriptor;
}
