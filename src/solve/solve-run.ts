import { randomUUID } from "node:crypto";
import { renameSync } from "node:fs";
import { join } from "node:path";
import type { StepKey } from "../cache/step-key.ts";
import { BuildError } from "../errors/build-error.ts";
import { formatPlatform } from "../oci/platform.ts";
import type { RunMount, RunStep } from "../plan/plan.ts";
import type { Layer } from "../rootfs/layer.ts";
import { LAYER_FILES, openStoredLayer } from "../rootfs/stored-layer.ts";
import { checkBinfmt } from "../sandbox/check-binfmt.ts";
import { type FoundDevices, findDevices } from "../sandbox/find-devices.ts";
import { runContainer, type Sandbox } from "../sandbox/run-container.ts";
import { RUN_DIRECTORY } from "../sandbox/run-directories.ts";
import { publishLayer } from "../store/layers.ts";
import { openLiveLog } from "../store/live-log.ts";
import { makeLogKeeper, writeLog } from "../store/logs.ts";
import type { StepRecord } from "../store/records.ts";
import { removeTree } from "../store/remove-tree.ts";
import { loadBindLayers } from "./bind-source.ts";
import { isSeedMissing } from "./cache-mount.ts";
import { type FailedCommand, hintExit } from "./hint-exit.ts";
import { keyRun } from "./key-run.ts";
import { loadRunLayers, type PrepareLayer } from "./load-run-layers.ts";
import { makeLogTail } from "./log-tail.ts";
import { openRunMounts } from "./run-mounts.ts";
import { type MissingStep, runOnce } from "./run-once.ts";
import { solveKeyed } from "./solve-keyed.ts";
import type { SolveContext } from "./solve-plan.ts";
import type { SolvedRootfs } from "./solved.ts";
import { keepRecord, loadLayers } from "./step-record.ts";

/** docker's name for the host that a RUN sees. */
const HOSTNAME = "buildkitsandbox";

/** RUN: the only step that needs a kernel. What the command changed becomes a layer. */
export async function solveRun(step: RunStep, context: SolveContext): Promise<SolvedRootfs> {
  const { base, keys } = await keyRun(step, context);
  const isAllowed = (entitlement: string) => context.allow.has(entitlement);
  let devices: FoundDevices;
  const allowedKeys = async function* (): AsyncGenerator<StepKey> {
    refuseWithoutEntitlement(step, isAllowed);
    devices = await findDevices(step.devices, {
      isAllowed: (names) => isAllowed("device") || names.some((name) => isAllowed(`device=${name}`)),
    });
    yield* keys();
  };
  return solveKeyed(
    step,
    { base, keys: allowedKeys },
    {
      make: (missing) => runMissing(step, missing, { base, devices, context }),
      context,
    },
  );
}

async function runMissing(
  step: RunStep,
  missing: MissingStep,
  {
    base,
    devices,
    context,
  }: { readonly base: SolvedRootfs; readonly devices: FoundDevices; readonly context: SolveContext },
): Promise<StepRecord> {
  const { keys, report } = missing;
  const { store } = context.access;
  if (step.platform.os !== "linux") {
    throw new BuildError(
      "unsupported",
      `Cannot run a command for ${formatPlatform(step.platform)}: commands run on Linux only`,
    );
  }
  checkBinfmt(step.platform);
  const layers = await loadRunLayers(base.layers, preparer(step, context));
  await loadMountedLayers(step, context);
  return runOnce(missing, context, async () => {
    const log = makeLogKeeper();
    using live = openLiveLog(store, keys.at(-1)!.key);
    const output: StepOutput = {
      add(stream, data) {
        log.add(stream, data);
        live.add(stream, data);
        report.log(stream, data);
      },
    };
    try {
      const layer = await context.limitRuns(() => runCommand(step, layers, { context, output, devices }));
      const kept = keepRecord(store, layer, missing);
      writeLog(store, kept.id, log.chunks());
      live.end();
      return kept;
    } catch (error) {
      context.trace.keepLog(step, log.chunks());
      throw error;
    }
  });
}

/**
 * The layers of the stages that are mounted. To load one may be to run its step, which waits for its turn: not while this one has its
 * own, or with `--jobs=1` it would wait for itself.
 */
async function loadMountedLayers(step: RunStep, context: SolveContext): Promise<void> {
  const load = async (mount: RunMount): Promise<void> => {
    if (mount.type === "bind") await loadBindLayers(mount, context);
    if (mount.type !== "cache" || !isSeedMissing(mount, context)) return;
    const solved = await context.solve(mount.from!);
    if (solved.kind === "rootfs") await loadLayers(solved);
  };
  await Promise.all(step.mounts.map(load));
}

function preparer(step: RunStep, { openSandbox, access: { signal } }: SolveContext): PrepareLayer {
  return async (layer, below) => {
    const sandbox = openSandbox();
    const { materialiser } = sandbox;
    const opening = sandbox.openHolder(networkOf(step, sandbox));
    // Both take some time to start.
    materialiser.expect(layer, below);
    const { hasErofs } = await opening;
    return materialiser.materialiseOne(layer, below, { hasErofs, signal });
  };
}

interface StepOutput {
  add(stream: "stdout" | "stderr", data: Uint8Array): void;
}

async function runCommand(
  step: RunStep,
  layers: readonly Layer[],
  {
    context,
    output,
    devices,
  }: {
    readonly context: SolveContext;
    readonly output: StepOutput;
    readonly devices: FoundDevices;
  },
): Promise<Layer> {
  const { signal } = context.access;
  signal.throwIfAborted();
  const sandbox = context.openSandbox();
  const directory = sandbox.directories.take();
  const tail = makeLogTail();
  let hasMoreLeft = true;
  try {
    using opened = await openRunMounts(step, context);
    const { memoryFiles, trees, sockets } = opened;
    const exit = await runContainer(
      sandbox,
      {
        ...devices,
        layers,
        args: step.args,
        env: [...step.env, ...step.proxyEnv, ...opened.env, ...devices.env],
        workingDirectory: step.workingDirectory,
        user: step.user,
        hostname: step.hostname ?? HOSTNAME,
        network: networkOf(step, sandbox),
        extraHosts: step.extraHosts,
        shmSizeBytes: step.shmSizeBytes,
        ulimits: step.ulimits,
        limits: step.resources,
        security: step.security,
        confinement: step.confinement,
        mounts: [...opened.mounts, ...devices.mounts],
        memoryFiles,
        trees,
        sockets,
        directory,
        stdio: "pipe",
        terminal: false,
      },
      {
        signal,
        onOutput(stream, data) {
          tail.add(data);
          output.add(stream, data);
        },
      },
    );
    if (exit.exitCode !== 0) throw runError({ step, exit, logTail: tail.lines(), layers });
    if (exit.ranOutOfMemory) {
      const message = `"${step.args.join(" ")}" went on although something of it was killed: it ran out of memory`;
      context.access.emit({ kind: "note", time: Date.now(), message, span: step.span });
    }
    const layer = await keepLayer(directory, layers, context);
    hasMoreLeft = trees.length > 0;
    if (!hasMoreLeft) sandbox.directories.giveBack(directory);
    return layer;
  } finally {
    // Nobody waits for it.
    if (hasMoreLeft) removeTree(directory).catch(() => {});
  }
}

/** DIFFERS: docker's default is a bridge, from which services of the host can be reached. */
function networkOf({ network }: RunStep, { hasPasta }: Sandbox): "pasta" | "host" | "none" {
  return network === "default" ? (hasPasta ? "pasta" : "host") : network;
}

/** Makes what a command changed a layer of the store. */
async function keepLayer(
  runDirectory: string,
  base: readonly Layer[],
  { access }: SolveContext,
): Promise<Layer> {
  const { store, work, signal } = access;
  const id = randomUUID();
  const directory = join(runDirectory, RUN_DIRECTORY.layer);
  const content = join(directory, LAYER_FILES.directory);
  renameSync(join(runDirectory, RUN_DIRECTORY.upper), content);
  await work.indexUpperDirectory(
    { directory: content, indexPath: join(directory, LAYER_FILES.index), id, base },
    { signal },
  );
  const stored = { id, kind: "directory" } as const;
  publishLayer(store, stored, directory);
  return openStoredLayer(store, stored);
}

function runError(failed: FailedCommand): BuildError {
  const { step, exit, logTail } = failed;
  const command = step.args.join(" ");
  const { exitCode, runtimeMessage, ranOutOfMemory } = exit;
  const ended = runtimeMessage ?? `it ended with exit code ${exitCode}`;
  const reason = ranOutOfMemory ? `it ran out of memory (${ended})` : ended;
  const hint = hintExit(failed);
  return new BuildError("run-failed", `Cannot run "${command}": ${reason}`, { hint, exitCode, logTail });
}

/** @throws BuildError `not-permitted`, also when the step's result is known already. */
function refuseWithoutEntitlement(step: RunStep, isAllowed: (entitlement: string) => boolean): void {
  const refuse = (flag: string, entitlement: string) => {
    throw new BuildError("not-permitted", `Cannot run with ${flag}: the build does not allow it`, {
      hint: `Allow it with --allow ${entitlement}`,
    });
  };
  if (step.network === "host" && !isAllowed("network.host")) refuse("--network=host", "network.host");
  if (step.security === "insecure" && !isAllowed("security.insecure"))
    refuse("--security=insecure", "security.insecure");
}
