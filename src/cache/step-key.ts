import { isPlainOwner } from "../oci/is-plain-owner.ts";
import { formatPlatform } from "../oci/platform.ts";
import type { CopyStep, RunStep, WorkdirStep } from "../plan/plan.ts";
import { type Canonical, digestCanonical } from "./canonical.ts";

/**
 * A step's key is the digest of its definition and the record ids of its inputs.
 *
 * In it: everything that decides the result. Not in it: names and lines for people, mtimes, secret values, ssh agents, what lies
 * in cache mounts, proxy variables, diff IDs (they contain mtimes), the machine, the user and the time; but SOURCE_DATE_EPOCH, where
 * it is given, for COPY and WORKDIR give it to what they make. A change of what a key
 * is made of changes `KEY_VERSION`.
 *
 * Who a name in `--chown` is stands in files of the base, so that the text and the base say it, with `--link`, too: no file is opened for a key.
 */
const KEY_VERSION = 2;

export interface StepKey {
  readonly key: string;
  /** JSON of what went into it, by part: so that `explain` can say which part changed. */
  readonly parts: string;
  /** Digests of the files that it stands for, with blanks between: of a COPY, or of a RUN's bind mounts. */
  readonly content?: string;
}

/** Record ids of a step's inputs: of each step that it stands on, by step id. */
export type InputIds = (stepId: number) => string;

const JOINT = " + ";

/** What stands for a layer and, independent of it, all below it. */
export function joinRecordIds(below: string, layer: string): string {
  return `${below}${JOINT}${layer}`;
}

/** Bottom first; one for what was not joined. */
export function splitRecordIds(joined: string): readonly string[] {
  return joined.split(JOINT);
}

/** With `bindDigests` (of each mount, by position), what bind mounts show stands for where it comes from. */
export function makeRunKey(
  step: RunStep,
  inputs: InputIds,
  bindDigests: readonly (string | undefined)[] = [],
): StepKey {
  const content = bindDigests.filter((digest) => digest !== undefined).join(" ");
  const key = makeKey({
    kind: "run",
    platform: formatPlatform(step.platform),
    base: inputs(step.base),
    args: step.args,
    files: step.files,
    env: step.env,
    workingDirectory: step.workingDirectory,
    user: step.user,
    mounts: step.mounts.map((mount, position) => keyOfMount(mount, inputs, bindDigests[position])),
    network: step.network,
    security: step.security,
    devices: step.devices,
    hostname: step.hostname,
    shmSizeBytes: step.shmSizeBytes,
    ulimits: step.ulimits,
    confinement: step.confinement && { ...step.confinement },
    extraHosts: step.extraHosts,
  });
  return content === "" ? key : { ...key, content };
}

export function makeWorkdirKey(step: WorkdirStep, inputs: InputIds, epochSeconds?: number): StepKey {
  return makeKey({
    kind: "workdir",
    base: inputs(step.base),
    path: step.path,
    user: step.user,
    epoch: epochSeconds,
  });
}

/** The key of a COPY over unchanged definitions: only for sources that have records themselves. */
export function makeCopyKey(step: CopyStep, inputs: InputIds, epochSeconds?: number): StepKey {
  return makeKey({
    kind: "copy",
    ...definitionOfCopy(step, inputs),
    sources: step.sources.map((source) =>
      source.kind === "inline" ? { ...source } : { ...source, from: inputs(source.from) },
    ),
    exclude: step.exclude,
    parents: step.parents,
    epoch: epochSeconds,
  });
}

/** The content key of a COPY: what is written, wherever it came from. */
export function makeCopyContentKey(
  step: CopyStep,
  inputs: InputIds,
  { contentDigest, epochSeconds }: { readonly contentDigest: string; readonly epochSeconds?: number },
): StepKey {
  const definition = definitionOfCopy(step, inputs);
  const parts = { kind: "copy-content", ...definition, content: contentDigest, epoch: epochSeconds };
  return { ...makeKey(parts), content: contentDigest };
}

function definitionOfCopy(step: CopyStep, inputs: InputIds) {
  return {
    base: step.link && isPlainOwner(step.chown ?? "") ? undefined : inputs(step.base),
    destination: step.destination,
    chown: step.chown,
    chmod: step.chmod,
    link: step.link,
    unpack: step.unpack,
  };
}

function keyOfMount(
  mount: RunStep["mounts"][number],
  inputs: InputIds,
  bindDigest: string | undefined,
): Canonical {
  switch (mount.type) {
    case "bind":
      return bindDigest === undefined
        ? { ...mount, from: inputs(mount.from) }
        : { ...mount, from: undefined, source: undefined, content: bindDigest };
    case "cache":
      return { ...mount, from: mount.from === undefined ? undefined : inputs(mount.from) };
    case "volume":
    case "tmpfs":
    case "secret":
    case "ssh":
      return { ...mount };
  }
}

function makeKey(parts: { readonly [part: string]: Canonical }): StepKey {
  return { key: digestCanonical({ version: KEY_VERSION, ...parts }), parts: JSON.stringify(parts) };
}
