import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import type { ProvenanceOptions } from "../index.ts";
import { type Attributes, parseAttributes, readSwitch } from "./parse-attributes.ts";

const TYPES = ["provenance", "sbom"];
const MODES = ["min", "max"] as const;
const VERSIONS = ["v0.2", "v1"] as const;

/**
 * What `--attest type=provenance,mode=max`, `--provenance` and `--sbom` ask for together; the last word counts. An SBOM may only be
 * switched off.
 *
 * @throws BuildError `option-invalid`, `unsupported`.
 */
export function parseAttestations(flags: {
  readonly attest: readonly string[];
  readonly provenance?: string;
  readonly sbom?: string;
}): ProvenanceOptions | undefined {
  const texts = [
    ...flags.attest.map((text) => ({ option: "--attest", text })),
    ...(["provenance", "sbom"] as const).flatMap((type) => {
      const value = flags[type];
      return value === undefined
        ? []
        : [{ option: `--${type}`, text: `type=${type},${asAttributes(value)}` }];
    }),
  ];
  let provenance: ProvenanceOptions | undefined;
  for (const { option, text } of texts) {
    const attributes = parseAttributes(text, {
      option,
      known: ["type", "mode", "version", "builder-id", "reproducible", "disabled", "generator"],
      switches: ["disabled", "reproducible"],
    });
    const type = chooseOne(attributes, { name: "type", allowed: TYPES, option });
    if (type === undefined) {
      throw new BuildError("option-invalid", `Cannot use "${text}" for ${option}: it has no type`, {
        hint: `Types are ${TYPES.join(", ")}`,
      });
    }
    const isDisabled = readSwitch(attributes, "disabled", false);
    if (type === "provenance") provenance = isDisabled ? undefined : readProvenance(attributes, option);
    else if (!isDisabled) {
      throw new BuildError("unsupported", `Cannot use ${option}: no SBOM can be made`, {
        hint: "Let a scanner read the image that was built, from its registry or from -o type=oci",
      });
    }
  }
  return provenance;
}

/** docker takes a boolean, too. */
function asAttributes(value: string): string {
  if (/^(?:1|t|true)$/i.test(value)) return "disabled=false";
  return /^(?:0|f|false)$/i.test(value) ? "disabled=true" : value;
}

function readProvenance(attributes: Attributes, option: string): ProvenanceOptions {
  const builderId = attributes.get("builder-id");
  return {
    mode: chooseOne(attributes, { name: "mode", allowed: MODES, option }) ?? "min",
    version: chooseOne(attributes, { name: "version", allowed: VERSIONS, option }) ?? "v0.2",
    ...(builderId && { builderId }),
    isReproducible: readSwitch(attributes, "reproducible", false),
  };
}

function chooseOne<Value extends string>(
  attributes: Attributes,
  rule: { readonly name: string; readonly allowed: readonly Value[]; readonly option: string },
): Value | undefined {
  const value = attributes.get(rule.name);
  const found = rule.allowed.find((one) => one === value);
  if (value === undefined || found !== undefined) return found;
  throw new BuildError("option-invalid", `Cannot use "${value}" for ${rule.name} of ${rule.option}`, {
    hint: hintNearest(value, rule.allowed) ?? `It is one of ${rule.allowed.join(", ")}`,
  });
}
