import { BuildError } from "../errors/build-error.ts";
import { suggestNearest } from "../errors/suggest-nearest.ts";
import type { ImageFilters } from "../index.ts";
import { parseUntil } from "./parse-until.ts";

/** `--filter` of `images`: what docker has. */
const KEYS = ["dangling", "label", "before", "since", "reference", "until"] as const;

type FilterKey = (typeof KEYS)[number];

/** Reads `KEY=VALUE`s. @throws BuildError `option-invalid`. */
export function parseImageFilters(texts: readonly string[]): ImageFilters {
  const filters = texts.map(splitFilter);
  const valuesOf = (wanted: FilterKey) => filters.flatMap(([key, value]) => (key === wanted ? [value] : []));
  const dangling = valuesOf("dangling").at(-1);
  const times = valuesOf("until").map((value) => parseUntil(value, Date.now()));
  const references = valuesOf("reference");
  return {
    labels: valuesOf("label"),
    before: valuesOf("before"),
    since: valuesOf("since"),
    ...(dangling !== undefined && { isDangling: /^[1t]/i.test(dangling) }),
    ...(references.length > 0 && { references }),
    ...(times.length > 0 && { createdBefore: Math.min(...times) }),
  };
}

function splitFilter(text: string): readonly [key: FilterKey, value: string] {
  const [, key = "", value = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  const known = KEYS.find((one) => one === key);
  if (known === undefined) {
    const near = suggestNearest(key, KEYS);
    throw new BuildError(
      "option-invalid",
      `Cannot use "${text}" for --filter: it is not KEY=VALUE with a known key`,
      {
        hint: near === undefined ? `Keys are ${KEYS.join(", ")}` : `Did you mean "${near}"?`,
      },
    );
  }
  if (known === "dangling" && !/^(?:true|false|[01tf])$/i.test(value)) {
    throw new BuildError("option-invalid", `Cannot use "${text}" for --filter: it is neither true nor false`);
  }
  return [known, value];
}
