import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import { formatPlatform } from "../oci/platform.ts";
import type { Plan } from "../plan/plan.ts";
import { solvePlan } from "../solve/solve-plan.ts";
import { writeBuiltImages } from "../store/builds.ts";
import { measureLayers } from "../store/layers.ts";
import type { BuildOptions, BuildResult } from "./build-options.ts";
import type { BuildOutput } from "./build-output.ts";
import { checkOutputs, checkPlannedOutputs } from "./check-outputs.ts";
import { exportImages } from "./export-images.ts";
import { lintBuild } from "./lint-build.ts";
import { allContexts, openInputs } from "./open-inputs.ts";
import { planInputs } from "./plan-inputs.ts";
import { listCacheTargets, useCaches } from "./use-caches.ts";

const DEFAULT_JOBS = 16;

/**
 * Builds what a Dockerfile describes, from its text to its outputs.
 *
 * @throws BuildError for everything that the user can do something about; then no output was written or tagged.
 */
export async function performBuild(options: BuildOptions): Promise<Omit<BuildResult, "steps">> {
  const started = Date.now();
  const { outputs = [{ type: "image", names: [], push: false }], tags = [] } = options;
  checkOutputs(outputs, tags);
  await using inputs = await openInputs(options);
  const { session, remotes, secrets } = inputs;
  await using caches = await useCaches(session, {
    from: options.cacheFrom,
    to: listCacheTargets(options),
  });
  const { reproduce } = options;
  // Code that few builds need is loaded by those.
  const reproducer = reproduce === undefined ? undefined : await import("./reproduce.ts");
  const originals = await reproducer?.findOriginals(session, reproduce!, inputs.planOptions.platforms);
  const { plan, findImage, bases, epochSeconds } = await planInputs(inputs, options);
  tellAboutPlan(plan, session.emit);
  lintBuild(inputs, { plan, bases });
  checkSquash(plan, options.squash);
  checkPlannedOutputs(outputs, plan.outputs, { hasAttestations: options.provenance !== undefined });

  const solved = await solvePlan(plan, {
    access: session,
    explain: options.explain,
    cacheTtlMs: options.cacheTtlMs,
    openSandbox: () => session.openSandbox(),
    contexts: allContexts(inputs),
    findImage,
    jobs: options.jobs ?? DEFAULT_JOBS,
    secrets,
    openRemotes: () => remotes.open(),
    allow: new Set(options.allow),
    ssh: options.ssh,
    epochSeconds,
    imports: await caches.imports,
    ledger: caches.ledger,
    readsOutputs: options.squash !== undefined || outputs.some(readsFiles),
  });
  session.leaveSandbox();
  await caches.write(solved.outputs);
  const built = plan.outputs.map(({ target, config, platform }, position) => ({
    target,
    config,
    platform,
    layers: solved.outputs[position]!.layers,
  }));
  const { squash, provenance } = options;
  const attestations = provenance && [
    await (await import("./provenance.ts")).makeProvenance(
      { options, inputs, plan, findImage, started },
      provenance,
    ),
  ];
  const wantManifests = options.wantManifests || reproduce !== undefined;
  const exported = await exportImages(session, built, {
    outputs,
    tags,
    epochSeconds,
    squash,
    wantManifests,
    addKeys: caches.addKeys,
    attestations,
  });
  const { images, manifests, root } = exported;
  const ids = images.map(({ configDigest }) => configDigest);
  writeBuiltImages(session.store, solved.buildId, ids);
  return {
    images: images.map(({ config, configDigest, platform }, position) => ({
      target: built[position]!.target,
      platform: formatPlatform(platform),
      configDigest,
      sizeBytes: measureLayers(session.store, config.rootfs.diff_ids),
      ...(manifests[position] && {
        manifestDigest: manifests[position].descriptor.digest,
        manifestDescriptor: manifests[position].descriptor,
      }),
    })),
    ...(root && { root }),
    ...(attestations && { provenance: attestations[0]!.predicate }),
    ...(originals && {
      reproductions: await reproducer!.compareWithOriginals(originals, {
        name: reproduce!,
        images,
        manifests,
      }),
    }),
    leftOut: plan.leftOut.map(({ name }) => name),
  };
}

/** Whether it takes an image's files to write an output, and not just its blobs. */
function readsFiles(output: BuildOutput): boolean {
  if (output.type === "cacheonly") return false;
  if (output.type === "local" || output.type === "tar") return true;
  return output.rewriteTimestamp === "all" || output.forceCompression === true;
}

/** A stage of which no output has a layer would be squashed without effect. */
function checkSquash({ steps, outputs }: Plan, squash: BuildOptions["squash"]): void {
  if (squash === undefined || typeof squash === "string") return;
  const stages = new Set<string>();
  for (const { rootfs } of outputs) {
    for (let step = steps[rootfs]; step !== undefined; ) {
      stages.add(step.stage);
      step = step.kind === "source" ? undefined : steps[step.base];
    }
  }
  if (stages.has(squash.stage)) return;
  throw new BuildError(
    "option-invalid",
    `Cannot squash the stage "${squash.stage}": no target stands on a stage of that name`,
    { hint: hintNearest(squash.stage, stages) ?? `Its stages are ${[...stages].filter(Boolean).join(", ")}` },
  );
}

function tellAboutPlan({ leftOut, warnings }: Plan, emit: NonNullable<BuildOptions["emit"]>): void {
  for (const { message, span } of warnings) emit({ kind: "warning", time: Date.now(), message, span });
  if (leftOut.length > 0) {
    const names = leftOut.map(({ name }) => name).join(", ");
    emit({ kind: "note", time: Date.now(), message: `not needed for this target, left out: ${names}` });
  }
}
