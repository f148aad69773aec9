/** Text of the user's for a message: no longer than a line. */
export function shorten(text: string, length = 120): string {
  return text.length > length ? `${text.slice(0, length)}...` : text;
}
