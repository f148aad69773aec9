import { BuildError } from "../errors/build-error.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { isDigest } from "../oci/digest.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import { formatImageReference, type ImageReference } from "../oci/reference.ts";
import { discardBody } from "./http-connections.ts";
import type { RequestOptions } from "./registry-client.ts";
import { makeAnswerError } from "./registry-error.ts";
import type { RegistrySession } from "./registry-session.ts";

/**
 * PUT of a manifest or index under the reference's tag, or under its digest. What it refers to must be there already.
 * `knowsSubject`: the registry says that it lists the manifest among its subject's referrers.
 */
export async function putManifest(
  session: RegistrySession,
  reference: ImageReference,
  manifest: { readonly mediaType: string; readonly bytes: Uint8Array } & RequestOptions,
): Promise<{ readonly descriptor: Descriptor; readonly knowsSubject: boolean }> {
  const { mediaType, bytes, signal } = manifest;
  const action = `Cannot push "${formatImageReference(reference)}"`;
  const digest = digestBytes(bytes);
  if (reference.digest !== undefined && reference.digest !== digest) {
    throw new BuildError("verification", `${action}: the manifest's digest is ${digest}`);
  }
  const response = await session.request({
    method: "PUT",
    target: `/v2/${reference.repository}/manifests/${reference.tag ?? digest}`,
    headers: { "content-type": mediaType },
    body: () => bytes,
    scopes: [`repository:${reference.repository}:pull,push`],
    action,
    signal,
  });
  if (response.status !== 201) throw await makeAnswerError(response, session.about(action, "repository"));
  await discardBody(response);
  const claimed = response.headers["docker-content-digest"];
  if (claimed !== undefined && isDigest(claimed) && claimed !== digest) {
    throw new BuildError(
      "verification",
      `${action}: the registry stored it with the digest ${claimed}, not ${digest}`,
    );
  }
  return {
    descriptor: { mediaType, digest, size: bytes.length },
    knowsSubject: response.headers["oci-subject"] !== undefined,
  };
}
