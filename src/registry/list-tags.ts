import { BuildError } from "../errors/build-error.ts";
import type { ImageReference } from "../oci/reference.ts";
import { readLimitedBytes } from "./fetch-manifest.ts";
import type { RequestOptions } from "./registry-client.ts";
import { makeAnswerError } from "./registry-error.ts";
import type { RegistrySession } from "./registry-session.ts";
import { requestPages } from "./request-pages.ts";

/** The repository's tags, page after page (distribution spec 1.1, "Listing Tags"), as the registry orders them. */
export async function listTags(
  session: RegistrySession,
  reference: ImageReference,
  { signal }: RequestOptions,
): Promise<readonly string[]> {
  const action = `Cannot list the tags of "${reference.registry}/${reference.repository}"`;
  const found: string[] = [];
  const request = {
    target: `/v2/${reference.repository}/tags/list`,
    scopes: [`repository:${reference.repository}:pull`],
    action,
    signal,
  };
  for await (const response of requestPages(session, request)) {
    if (response.status !== 200) throw await makeAnswerError(response, session.about(action, "repository"));
    found.push(...parseTags(await readLimitedBytes(response, { action, limits: session.limits }), action));
  }
  return found;
}

/** A repository without tags says `null`. */
function parseTags(bytes: Uint8Array, action: string): readonly string[] {
  let tags: unknown;
  try {
    tags = JSON.parse(Buffer.from(bytes).toString("utf8"))?.tags ?? [];
  } catch {
    // Said below.
  }
  if (Array.isArray(tags) && tags.every((tag) => typeof tag === "string")) return tags;
  throw new BuildError("registry", `${action}: the registry's answer is no list of tags`);
}
