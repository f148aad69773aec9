import { randomBytes } from "node:crypto";
import { basename, isAbsolute } from "node:path";
import { redactRemote } from "../context/git-environment.ts";
import { redactUrl } from "../context/url-text.ts";
import { parseGitReference } from "../dockerfile/parse-git-reference.ts";
import { BuildError } from "../errors/build-error.ts";
import { type Attestation, asDigestSet, nameSubject } from "../image/attestations.ts";
import type { ImageAccess, ResolvedImage } from "../image/image-access.ts";
import type { Digest } from "../oci/digest.ts";
import { formatPlatform } from "../oci/platform.ts";
import { formatImageReference, type ImageReference, parseImageReference } from "../oci/reference.ts";
import type { Plan, SourceStep, Step } from "../plan/plan.ts";
import { findTag } from "../store/images.ts";
import type { BuildOptions } from "./build-options.ts";
import type { BuildInputs } from "./open-inputs.ts";

/** What of a build its image tells. */
export interface ProvenanceOptions {
  /** `max` tells build arguments, labels, secrets' ids, the steps and the Dockerfile, too. */
  readonly mode: "min" | "max";
  /** Of the SLSA provenance format. */
  readonly version: "v0.2" | "v1";
  /** A URL of who builds. */
  readonly builderId?: string;
  /** The user's word that the same inputs give the same image. */
  readonly isReproducible?: boolean;
}

/** A build that is done. */
export interface ProvenanceFacts {
  readonly options: BuildOptions;
  readonly inputs: BuildInputs;
  readonly plan: Plan;
  readonly findImage: (step: SourceStep) => Promise<ResolvedImage>;
  /** In milliseconds since 1970. */
  readonly started: number;
}

/** Something from outside that a build used. */
interface Material {
  readonly uri: string;
  readonly digest: Readonly<Record<string, string>>;
}

const BUILD_TYPE = "https://mobyproject.org/buildkit@v1";
const OWN = `${BUILD_TYPE}#`;

/** Images, repositories and downloads of a plan that is solved, each with its digest. */
async function findMaterials({
  plan,
  inputs: { remotes, session },
  findImage,
}: ProvenanceFacts): Promise<Material[]> {
  const { signal } = session;
  const found = await Promise.all(
    plan.steps.map(async (step): Promise<Material | undefined> => {
      if (step.kind !== "source") return undefined;
      const { source } = step;
      switch (source.kind) {
        case "image":
          return describeImage(session, await findImage(step));
        case "git": {
          const { commit } = await (await remotes.open()).findGit({ ...source, signal });
          return { uri: redactGit(source.url), digest: { sha1: commit } };
        }
        case "http": {
          const digest =
            source.checksum ?? (await (await remotes.open()).download({ ...source, signal })).digest;
          return { uri: redactUrl(source.url), digest: asDigestSet(digest as Digest) };
        }
        default:
          return undefined;
      }
    }),
  );
  const byUri = new Map(
    found.flatMap((material) => (material === undefined ? [] : [[material.uri, material]])),
  );
  return [...byUri.values()];
}

/** By the digest that its name stood for, where a registry said one; else by its id. */
function describeImage({ store }: ImageAccess, { name, platform, configDigest }: ResolvedImage): Material {
  const reference = tryParse(name);
  if (reference === undefined) return { uri: name, digest: asDigestSet(configDigest) };
  const tag = findTag(store, formatImageReference(reference), formatPlatform(platform));
  const digest = reference.digest ?? tag?.targetDigest ?? configDigest;
  return { uri: nameSubject(reference, platform), digest: asDigestSet(digest) };
}

/** Undefined for an image of a layout, and for an id. */
function tryParse(name: string): ImageReference | undefined {
  try {
    return parseImageReference(name);
  } catch (error) {
    if (error instanceof BuildError) return undefined;
    throw error;
  }
}

/** Says how a build was made, as SLSA provenance with the fields that BuildKit has there. */
export async function makeProvenance(
  facts: ProvenanceFacts,
  provenance: ProvenanceOptions,
): Promise<Attestation> {
  const predicate = await makePredicate(facts, provenance);
  if (provenance.version === "v0.2") return { predicateType: "https://slsa.dev/provenance/v0.2", predicate };
  return { predicateType: "https://slsa.dev/provenance/v1", predicate: asVersion1(predicate) };
}

type Predicate = Awaited<ReturnType<typeof makePredicate>>;

async function makePredicate(facts: ProvenanceFacts, { mode, builderId, isReproducible }: ProvenanceOptions) {
  const { inputs, plan, options } = facts;
  const isMax = mode === "max";
  const locals = listLocals(facts);
  const isComplete = locals.length === 0;
  const usesNetwork = plan.steps.some((step) => step.kind === "run" && step.network !== "none");
  return {
    builder: { id: builderId ?? "" },
    buildType: BUILD_TYPE,
    materials: await findMaterials(facts),
    invocation: {
      configSource: await describeConfigSource(facts),
      parameters: {
        frontend: "dockerfile.v0",
        args: listArguments(options, isMax),
        ...(isMax && listSecrets(plan.steps)),
        ...(locals.length > 0 && { locals: locals.map((name) => ({ name })) }),
      },
      environment: { platform: formatPlatform(inputs.planOptions.buildPlatform) },
    },
    ...(isMax && { buildConfig: { steps: plan.steps.map(describeStep) } }),
    metadata: {
      // The same for all platforms of a build, which share the statement.
      buildInvocationID: randomBytes(16).toString("hex"),
      buildStartedOn: new Date(facts.started).toISOString(),
      buildFinishedOn: new Date().toISOString(),
      completeness: { parameters: isMax, environment: true, materials: isComplete },
      reproducible: isReproducible ?? false,
      [`${OWN}hermetic`]: isComplete && !usesNetwork,
      ...(isMax && { [`${OWN}metadata`]: { source: { infos: [describeDockerfile(inputs)] } } }),
    },
  };
}

/** The same facts in the places of SLSA 1. */
function asVersion1({ builder, buildType, materials, invocation, buildConfig, metadata }: Predicate): object {
  const { configSource, parameters, environment } = invocation;
  const { entryPoint: path, ...source } = configSource;
  const { buildInvocationID, buildStartedOn, buildFinishedOn, completeness, reproducible, ...own } = metadata;
  return {
    buildDefinition: {
      buildType,
      externalParameters: { configSource: { ...source, path }, request: parameters },
      internalParameters: { ...(buildConfig && { buildConfig }), builderPlatform: environment.platform },
      resolvedDependencies: materials,
    },
    runDetails: {
      builder,
      metadata: {
        invocationId: buildInvocationID,
        startedOn: buildStartedOn,
        finishedOn: buildFinishedOn,
        ...Object.fromEntries(
          Object.entries(own).map(([key, value]) => [key.replace(OWN, "buildkit_"), value]),
        ),
        buildkit_completeness: {
          request: completeness.parameters,
          resolvedDependencies: completeness.materials,
        },
        buildkit_reproducible: reproducible,
      },
    },
  };
}

async function describeConfigSource({ options, inputs }: ProvenanceFacts) {
  const { context } = options;
  const entryPoint = nameDockerfile(inputs);
  if (typeof context !== "string") return { entryPoint };
  const git = parseGitReference(context);
  if (git === undefined || git.looksLocal) {
    return /^https?:\/\//.test(context) ? { uri: redactUrl(context), entryPoint } : { entryPoint };
  }
  const { signal } = inputs.session;
  const { commit } = await (await inputs.remotes.open()).findGit({ url: context, signal });
  return { uri: redactGit(context), digest: { sha1: commit }, entryPoint };
}

/** Without credentials, but with the branch or tag. */
function redactGit(url: string): string {
  const [address = "", ...fragment] = url.split("#");
  return [redactRemote(address), ...fragment].join("#");
}

/** Contexts whose content nobody outside knows. */
function listLocals({ options, inputs }: ProvenanceFacts): readonly string[] {
  const { context, buildContexts = {} } = options;
  const isLocal = (text: unknown) =>
    typeof text !== "string" || (!/^[a-z-]+:\/\//.test(text) && parseGitReference(text) === undefined);
  return [
    ...(isLocal(context) ? ["context", "dockerfile"] : []),
    ...[...inputs.trees.keys()].filter((name) => isLocal(buildContexts[name])),
  ];
}

/** Named as BuildKit's frontend takes them. Values that a user chose are told only in full. */
function listArguments(
  { target, targets, buildArgs = {}, labels = {} }: BuildOptions,
  isMax: boolean,
): Readonly<Record<string, string>> {
  const stage = targets?.[0] ?? target;
  const named = (prefix: string, values: Readonly<Record<string, string>>) =>
    Object.entries(values).map(([name, value]) => [`${prefix}:${name}`, value]);
  return Object.fromEntries([
    ...(stage === undefined ? [] : [["target", stage]]),
    ...(isMax ? [...named("build-arg", buildArgs), ...named("label", labels)] : []),
  ]);
}

function listSecrets(steps: readonly Step[]) {
  const mounts = steps.flatMap((step) => (step.kind === "run" ? step.mounts : []));
  const ofType = (type: "secret" | "ssh") => {
    const found = mounts.flatMap((mount) =>
      mount.type === type ? [[mount.id, mount.required] as const] : [],
    );
    return [...new Map(found)].map(([id, required]) => (required ? { id } : { id, optional: true }));
  };
  return { secrets: ofType("secret"), ssh: ofType("ssh") };
}

function describeStep(step: Step) {
  const inputs = step.kind === "source" ? [] : [step.base];
  const from = step.kind === "copy" ? step.sources.flatMap((one) => ("from" in one ? [one.from] : [])) : [];
  return {
    id: `step${step.id}`,
    kind: step.kind,
    name: step.name,
    platform: formatPlatform(step.platform),
    inputs: [...inputs, ...from].map((id) => `step${id}`),
  };
}

function describeDockerfile(inputs: BuildInputs) {
  const data = Buffer.from(inputs.dockerfile.bytes).toString("base64");
  return { filename: nameDockerfile(inputs), language: "Dockerfile", data };
}

/** Where a file lies on this machine is nobody's business. */
function nameDockerfile({ dockerfile: { file } }: BuildInputs): string {
  return isAbsolute(file) || file.startsWith("..") ? basename(file) : file;
}
