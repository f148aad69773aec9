const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `3 weeks`: how long ago, as docker's go-units writes durations. */
export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const count = (unitSeconds: number, unit: string) => `${Math.floor(seconds / unitSeconds)} ${unit}`;
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < MINUTE) return `${seconds} seconds`;
  if (seconds < 2 * MINUTE) return "About a minute";
  if (seconds < HOUR) return count(MINUTE, "minutes");
  const hours = Math.round(seconds / HOUR);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return count(DAY, "days");
  if (hours < 24 * 30 * 2) return count(7 * DAY, "weeks");
  if (hours < 24 * 365 * 2) return count(30 * DAY, "months");
  return count(365 * DAY, "years");
}
