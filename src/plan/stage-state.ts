import type { ContainerConfig, HistoryEntry, ImageConfig } from "../oci/image-config.ts";
import type { Platform } from "../oci/platform.ts";
import type { StepId } from "./plan.ts";
import type { StageNode } from "./stage-graph.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** History as a chain, newest first: stages that share a base share its entries. */
export interface HistoryLink {
  readonly entry: HistoryEntry;
  readonly before: HistoryLink | undefined;
}

/** A stage while its instructions are folded, and after it, as the base of other stages. */
export interface StageState {
  readonly node: StageNode;
  rootfs: StepId;
  platform: Platform;
  /** What RUN and expansions see: the image's ENV and the ARGs, the later one winning whatever it is. */
  env: Map<string, string>;
  /** ARGs that were declared, in the order of their first declaration; without a value when they have none. */
  args: Map<string, string | undefined>;
  config: Mutable<ContainerConfig>;
  author: string | undefined;
  /** The base image's own keys that no instruction changes (`os`, `variant` and the like). */
  readonly image: Omit<ImageConfig, "config" | "history" | "author" | "rootfs" | "created">;
  history: HistoryLink | undefined;
  /** A CMD stood in this very stage: ENTRYPOINT leaves it. */
  hasCmd: boolean;
  /** How many of the stage's steps have a number so far, and how many there will be. */
  stepNumber: number;
  stepTotal: number;
}

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The config of `scratch`, and of a tree of files that is used as a base. */
export function emptyImage(platform: Platform): ImageConfig {
  return {
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant === undefined ? {} : { variant: platform.variant }),
    config: { Env: [`PATH=${DEFAULT_PATH}`], WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: [] },
  };
}

/** A stage on top of an image. ONBUILD triggers are used up; PATH is always set. */
export function startFromImage(
  node: StageNode,
  base: { readonly image: ImageConfig; readonly platform: Platform; readonly rootfs: StepId },
): StageState {
  const { config = {}, history = [], author, rootfs: _rootfs, created: _created, ...image } = base.image;
  const { OnBuild: _triggers, ...rest } = config;
  const state: StageState = {
    node,
    rootfs: base.rootfs,
    platform: base.platform,
    env: new Map(),
    args: new Map(),
    config: rest,
    author,
    image,
    history: history.reduce<HistoryLink | undefined>((before, entry) => ({ entry, before }), undefined),
    hasCmd: false,
    stepNumber: 0,
    stepTotal: 0,
  };
  for (const variable of config.Env ?? []) {
    const [name, value] = splitVariable(variable);
    state.env.set(name, value);
  }
  ensurePath(state);
  return state;
}

/** A stage on top of an earlier one: it inherits all but the ONBUILD triggers. */
export function startFromStage(node: StageNode, base: StageState): StageState {
  const { OnBuild: _triggers, ...config } = base.config;
  const state = {
    ...base,
    node,
    env: new Map(base.env),
    args: new Map(base.args),
    config,
    hasCmd: false,
    stepNumber: 0,
    stepTotal: 0,
  };
  ensurePath(state);
  return state;
}

function ensurePath(state: StageState): void {
  const env = state.config.Env ?? [];
  if (env.some((variable) => splitVariable(variable)[0] === "PATH")) return;
  state.config.Env = [...env, `PATH=${DEFAULT_PATH}`];
  state.env.set("PATH", DEFAULT_PATH);
}

/** Name and value of `NAME=value`. */
export function splitVariable(variable: string): [name: string, value: string] {
  const equals = variable.indexOf("=");
  return equals < 0 ? [variable, ""] : [variable.slice(0, equals), variable.slice(equals + 1)];
}

/** Adds a history entry; one without a layer when `isEmpty`. */
export function addHistory(state: StageState, createdBy: string, isEmpty: boolean): void {
  const entry: HistoryEntry = isEmpty
    ? { created_by: createdBy, empty_layer: true }
    : { created_by: createdBy };
  state.history = { entry, before: state.history };
}

/** The image config of a stage as it is now. */
export function finishConfig(state: StageState): ImageConfig {
  const history: HistoryEntry[] = [];
  for (let link = state.history; link !== undefined; link = link.before) history.push(link.entry);
  return {
    ...state.image,
    ...(state.author === undefined ? {} : { author: state.author }),
    config: state.config,
    rootfs: { type: "layers", diff_ids: [] },
    history: history.reverse(),
  };
}
