const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** `7.83MB`: three digits and a power of 1000, as docker writes sizes. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(3))}${UNITS[unit]}`;
}
