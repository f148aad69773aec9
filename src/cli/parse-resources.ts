import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import type { BuildOptions } from "../index.ts";
import { parseSize } from "./parse-values.ts";

type Resources = NonNullable<BuildOptions["resources"]>;

/** The resources of `--resource`, and the options of docker build that mean the same. */
export const RESOURCES = [
  "memory",
  "memory-swap",
  "cpu-shares",
  "cpu-period",
  "cpu-quota",
  "cpuset-cpus",
  "cpuset-mems",
] as const;

export type ResourceName = (typeof RESOURCES)[number];

/** Less memory than this no command starts with: docker's limit. */
const MEMORY_MIN = 6 * 1024 * 1024;
const CPU_LIST = /^\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*$/;

/**
 * Reads values of `--resource` (`memory=1g,cpuset-cpus=0-1`) after those of the separate options.
 *
 * @throws BuildError `option-invalid`.
 */
export function parseResources(
  texts: readonly string[],
  separate: readonly (readonly [ResourceName, string | undefined])[],
): Resources {
  const values = new Map<ResourceName, string>();
  for (const [name, value] of separate) if (value !== undefined) values.set(name, value);
  let last: ResourceName | undefined;
  for (const field of texts.flatMap((text) => text.split(","))) {
    const [key = "", value] = field.split(/=(.*)/s);
    // A list of cpus has commas itself.
    if (value === undefined && last?.startsWith("cpuset") && CPU_LIST.test(field)) {
      values.set(last, `${values.get(last)},${field}`);
      continue;
    }
    const name = RESOURCES.find((one) => one === key);
    if (name === undefined || value === undefined) {
      throw new BuildError(
        "option-invalid",
        `Cannot use "${field}" for --resource: there is no such resource`,
        {
          hint: hintNearest(key, RESOURCES) ?? `Resources are ${RESOURCES.join(", ")}`,
        },
      );
    }
    values.set(name, value);
    last = name;
  }
  return checkTogether(Object.assign({}, ...[...values].map(([name, value]) => readResource(name, value))));
}

function readResource(name: ResourceName, text: string): Resources {
  const refuse = (reason: string) =>
    new BuildError("option-invalid", `Cannot use "${text}" for ${name}: ${reason}`);
  const readNumber = (minimum: number): number => {
    const number = Number(text);
    if (!/^-?\d+$/.test(text) || number < minimum) throw refuse(`it is no number from ${minimum} up`);
    return number;
  };
  const readList = (): string => {
    if (!CPU_LIST.test(text)) throw refuse("it is no list like 0-2,4");
    return text;
  };
  switch (name) {
    case "memory": {
      const memoryBytes = parseSize(text, name);
      if (memoryBytes < MEMORY_MIN) throw refuse("the minimum is 6m");
      return { memoryBytes };
    }
    case "memory-swap":
      return { memorySwapBytes: text === "-1" ? -1 : parseSize(text, name) };
    case "cpu-shares":
      return { cpuShares: readNumber(2) };
    case "cpu-period":
      return { cpuPeriodMicroseconds: readNumber(1000) };
    case "cpu-quota":
      return { cpuQuotaMicroseconds: readNumber(1000) };
    case "cpuset-cpus":
      return { cpusetCpus: readList() };
    case "cpuset-mems":
      return { cpusetMems: readList() };
  }
}

function checkTogether(resources: Resources): Resources {
  const { memoryBytes, memorySwapBytes } = resources;
  if (memorySwapBytes === undefined || memorySwapBytes === -1) return resources;
  if (memoryBytes === undefined)
    throw new BuildError("option-invalid", "Cannot limit memory-swap: memory has no limit");
  if (memorySwapBytes < memoryBytes) {
    throw new BuildError("option-invalid", "Cannot limit memory-swap: it is below memory, which it includes");
  }
  return resources;
}
