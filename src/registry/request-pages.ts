import { BuildError } from "../errors/build-error.ts";
import type { HttpResponse } from "./http-connections.ts";
import type { RegistrySession } from "./registry-session.ts";

/** Each may have megabytes: what is more is a registry that goes round in a circle. */
const PAGES_MAX = 100;

/**
 * The answers of a list, page after page, whatever their status (distribution spec 1.1: by the Link header, RFC 8288). The caller reads the
 * body of each before it asks for the next.
 *
 * @throws BuildError `registry` for a list without an end.
 */
export async function* requestPages(
  session: RegistrySession,
  request: Omit<Parameters<RegistrySession["request"]>[0], "method">,
): AsyncGenerator<HttpResponse> {
  let target: string | URL | undefined = request.target;
  for (let page = 0; target !== undefined; page++) {
    if (page === PAGES_MAX) {
      throw new BuildError(
        "registry",
        `${request.action}: the registry has more than ${PAGES_MAX} pages of them`,
      );
    }
    const response = await session.request({ ...request, method: "GET", target });
    yield response;
    target = findNextPage(response);
  }
}

function findNextPage({ headers, url }: HttpResponse): URL | undefined {
  const next = /<([^>]+)>\s*;[^,]*rel="?next"?/.exec(headers.link ?? "")?.[1];
  return next === undefined ? undefined : (URL.parse(next, url.href) ?? undefined);
}
