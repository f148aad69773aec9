/** True when no database of users is needed to know who `user`, `user:group` or `:group` is: as in BuildKit, `root` is a number. */
export function isPlainOwner(text: string): boolean {
  return /^(?:\d*|root)(?::(?:\d*|root))?$/.test(text);
}
