/**
 * The candidate that `word` most likely meant, ignoring case; undefined when none is near: at most one edit (insert,
 * delete, replace, swap of neighbours) in three characters.
 */
export function suggestNearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word === "" || word.length > MAX_WORD) return undefined;
  const wanted = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - wanted.length) >= bestDistance) continue;
    const distance = editDistance(wanted, candidate.toLowerCase(), bestDistance);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** The hint of an error about `word`: `Did you mean "builder"?`, or undefined. */
export function hintNearest(word: string, candidates: Iterable<string>): string | undefined {
  const nearest = suggestNearest(word, candidates);
  return nearest === undefined || nearest === word ? undefined : `Did you mean "${nearest}"?`;
}

export type Suggester = (word: string, candidates: Iterable<string>) => string | undefined;

/**
 * `suggestNearest` for a text of any length: after a hundred questions it answers no more, and of many candidates it looks
 * at the first thousand, so that a file of nothing but mistakes costs no more than a good one.
 */
export function makeSuggester(): Suggester {
  let questions = 100;
  return (word, candidates) => {
    if (questions-- <= 0) return undefined;
    return suggestNearest(word, takeFirst(candidates, 1000));
  };
}

function* takeFirst(values: Iterable<string>, count: number): Generator<string> {
  let left = count;
  for (const value of values) {
    if (left-- <= 0) return;
    yield value;
  }
}

/** Longer words are no typing errors, and would make the search slow. */
const MAX_WORD = 128;

/** Optimal string alignment distance; stops early, with some value of at least `limit`, once it cannot be below it. */
function editDistance(a: string, b: string, limit: number): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let rowBest = i;
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, beforePrevious[j - 2]! + 1);
      }
      row.push(cost);
      rowBest = Math.min(rowBest, cost);
    }
    if (rowBest >= limit) return limit;
    beforePrevious = previous;
    previous = row;
  }
  return previous[b.length]!;
}
