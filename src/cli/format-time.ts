/** `2024-01-31 12:00:00 +0000 UTC`: a time as Go prints it, whole seconds, in UTC. */
export function formatGoTime(milliseconds: number): string {
  return `${formatSeconds(milliseconds).replace("T", " ").replace("Z", "")} +0000 UTC`;
}

/** `2024-01-31T12:00:00Z`: RFC 3339 in whole seconds. */
export function formatSeconds(milliseconds: number): string {
  return new Date(Math.floor(milliseconds / 1000) * 1000).toISOString().replace(".000Z", "Z");
}
