import type { HttpResponse } from "./http-connections.ts";

/** Where a list goes on, by its Link header (RFC 8288, as the distribution spec 1.1 uses it); undefined at its end. */
export function findNextPage({ headers, url }: HttpResponse): URL | undefined {
  const next = /<([^>]+)>\s*;[^,]*rel="?next"?/.exec(headers.link ?? "")?.[1];
  return next === undefined ? undefined : (URL.parse(next, url.href) ?? undefined);
}

/** Each may have megabytes: what is more is a registry that goes round in a circle. */
export const PAGES_MAX = 100;
