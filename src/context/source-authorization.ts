/** What `HTTP_AUTH_*` and `GIT_AUTH_*` secrets and a URL's own user and password say about a request. */
export type SourceSecrets = ReadonlyMap<string, Uint8Array>;

/**
 * The Authorization header for a URL: of the secrets `PREFIX_HEADER.HOST`, `PREFIX_TOKEN.HOST`, `PREFIX_HEADER` and `PREFIX_TOKEN` the
 * first that there is, else the user and password in the URL. Undefined when nothing says so.
 * A header secret is the header's value; a token is what `formatToken` makes of it.
 */
export function findAuthorization(
  url: URL,
  options: {
    readonly prefix: "HTTP_AUTH" | "GIT_AUTH";
    readonly secrets: SourceSecrets;
    readonly formatToken: (token: string) => string;
    /** Only the secrets of this host: the URL is not the user's own. */
    readonly isForeign?: boolean;
  },
): string | undefined {
  const { prefix, secrets, formatToken, isForeign } = options;
  const read = (name: string): string | undefined => {
    const secret = secrets.get(name);
    // A line end at the end of a file is no part of a token; inside, it would begin another header.
    return (
      secret &&
      Buffer.from(secret)
        .toString("utf8")
        .trim()
        .replace(/[\r\n]+/g, " ")
    );
  };
  for (const suffix of [`.${url.host}`, `.${url.hostname}`, ...(isForeign ? [] : [""])]) {
    const header = read(`${prefix}_HEADER${suffix}`);
    if (header) return header;
    const token = read(`${prefix}_TOKEN${suffix}`);
    if (token) return formatToken(token);
  }
  if (url.username === "" && url.password === "") return undefined;
  return formatBasic(decode(url.username), decode(url.password));
}

export function formatBasic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
