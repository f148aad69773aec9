import { BuildError } from "../errors/build-error.ts";
import type { ImageReference } from "../oci/reference.ts";

type Places = readonly [ImageReference, ...ImageReference[]];

/** What the first place gives that does not fail and has something; undefined (not there) counts only at the last one. */
export async function tryPlaces<Result>(
  places: Places,
  ask: (place: ImageReference) => Promise<Result>,
): Promise<Result> {
  const failures: BuildError[] = [];
  for (const [index, place] of places.entries()) {
    const isLast = index === places.length - 1;
    try {
      const result = await ask(place);
      if (result !== undefined || isLast) return result;
    } catch (error) {
      // A bug, or the caller's own abort.
      if (!(error instanceof BuildError)) throw error;
      failures.push(error);
      if (isLast) throw tellAll(failures);
    }
  }
  throw new Error("there is no place to ask");
}

/** Goes on to the next place only as long as nothing has been given out: half a blob cannot be taken back. */
export async function* streamFromPlaces(
  places: Places,
  open: (place: ImageReference) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const failures: BuildError[] = [];
  for (const [index, place] of places.entries()) {
    let hasBegun = false;
    try {
      for await (const piece of open(place)) {
        hasBegun = true;
        yield piece;
      }
      return;
    } catch (error) {
      if (!(error instanceof BuildError)) throw error;
      failures.push(error);
      if (hasBegun || index === places.length - 1) throw tellAll(failures);
    }
  }
}

/** The last failure is the original's and the most telling; the mirrors' are in the hint. */
function tellAll(failures: readonly BuildError[]): BuildError {
  const last = failures.at(-1)!;
  if (failures.length === 1) return last;
  const earlier = failures.slice(0, -1).map(({ message }) => message);
  const hint = [last.hint, `Before that: ${earlier.join("; ")}`]
    .filter((text) => text !== undefined)
    .join(". ");
  return new BuildError(last.code, last.message, { hint, cause: new AggregateError(failures) });
}
