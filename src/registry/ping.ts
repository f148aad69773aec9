import { discardBody } from "./http-connections.ts";
import type { RequestOptions } from "./registry-client.ts";
import { makeAnswerError } from "./registry-error.ts";
import type { RegistrySession } from "./registry-session.ts";

/** GET /v2/ (distribution spec 1.1, "Determining Support"), with credentials. */
export async function ping(
  session: RegistrySession,
  registry: string,
  { signal }: RequestOptions,
): Promise<void> {
  const action = `Cannot log in to registry "${registry}"`;
  const response = await session.request({ method: "GET", target: "/v2/", scopes: [], action, signal });
  if (response.status !== 200) throw await makeAnswerError(response, session.about(action));
  await discardBody(response);
}
