/** A URL for messages: without the password and the query, which may hold secrets. The text itself when it is no URL. */
export function redactUrl(text: string | URL): string {
  const url = URL.parse(String(text));
  if (url === null) return String(text);
  url.username = "";
  url.password = "";
  // Signed addresses have their signature in the query.
  const search = url.search === "" ? "" : "?...";
  url.search = "";
  url.hash = "";
  return url.href + search;
}
