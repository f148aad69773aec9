/**
 * Merges sorted sequences: yields, in order, what is equal in several of them together, in the order of the sequences.
 * Holds one value of each.
 */
export function* mergeSorted<Value>(
  sources: readonly Iterable<Value>[],
  compare: (a: Value, b: Value) => number,
): Generator<Value[]> {
  if (sources.length === 1) {
    for (const value of sources[0]!) yield [value];
    return;
  }
  const iterators = sources.map((source) => source[Symbol.iterator]());
  const heads = iterators.map((iterator) => iterator.next());
  try {
    for (;;) {
      let smallest: Value | undefined;
      let isFound = false;
      for (const head of heads) {
        if (head.done) continue;
        if (!isFound || compare(head.value, smallest as Value) < 0) smallest = head.value;
        isFound = true;
      }
      if (!isFound) return;
      const equal: Value[] = [];
      for (const [source, head] of heads.entries()) {
        if (head.done || compare(head.value, smallest as Value) !== 0) continue;
        equal.push(head.value);
        heads[source] = iterators[source]!.next();
      }
      yield equal;
    }
  } finally {
    for (const [source, head] of heads.entries()) if (!head.done) iterators[source]!.return?.();
  }
}
