/** Keeps the largest values of a stream, in memory for twice as many. */
export interface LargestKeeper<Value> {
  offer(value: Value): void;
  /** The largest first; equal ones by path. */
  list(): readonly Value[];
}

export function keepLargest<Value extends { readonly sizeBytes: number; readonly path: string }>(
  count: number,
): LargestKeeper<Value> {
  let kept: Value[] = [];
  const cut = () => {
    kept = kept.sort((a, b) => b.sizeBytes - a.sizeBytes || (a.path < b.path ? -1 : 1)).slice(0, count);
  };
  return {
    offer(value) {
      kept.push(value);
      if (kept.length >= 2 * count + 16) cut();
    },
    list() {
      cut();
      return kept;
    },
  };
}
