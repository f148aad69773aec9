import { MAX_PATTERN_WORK } from "../dockerfile/expand-word.ts";
import { BuildError } from "../errors/build-error.ts";
import type { ContainerConfig, HistoryEntry, ImageConfig } from "../oci/image-config.ts";
import type { Platform } from "../oci/platform.ts";
import type { StepId } from "./plan.ts";
import type { StageNode } from "./stage-graph.ts";

/*
 * A stage while its instructions are folded. What grows with instructions (variables, labels, history) is changed in
 * place, so that a file of a hundred thousand of them is folded in one pass; a stage on top of another copies.
 */

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** History as a chain, newest first: stages that share a base share its entries. */
interface HistoryLink {
  readonly entry: HistoryEntry;
  readonly before: HistoryLink | undefined;
}

/** What the config has as a collection; the rest is in `StageState.config`. */
type CollectedKeys = "Env" | "Labels" | "Volumes" | "ExposedPorts" | "OnBuild";

export interface StageState {
  readonly node: StageNode;
  rootfs: StepId;
  platform: Platform;
  /** What RUN and expansions see: the image's ENV and the ARGs, the later one winning whatever it is. Set by `setVariable`. */
  readonly env: ReadonlyMap<string, string>;
  /** ARGs that were declared, in the order of their first declaration; without a value when they have none. Set by `declareArg`. */
  readonly args: ReadonlyMap<string, string | undefined>;
  /** ENV of the image alone, `NAME=value`, and the place of each name's first entry. */
  readonly imageEnv: string[];
  readonly imageEnvPlaces: Map<string, number>;
  readonly labels: Map<string, string>;
  readonly volumes: Set<string>;
  readonly ports: Set<string>;
  readonly triggers: string[];
  readonly config: Mutable<Omit<ContainerConfig, CollectedKeys>>;
  author: string | undefined;
  /** The base image's own keys that no instruction changes (`os`, `variant` and the like). */
  readonly image: Omit<ImageConfig, "config" | "history" | "author" | "rootfs" | "created">;
  history: HistoryLink | undefined;
  /** A CMD stood in this very stage: ENTRYPOINT leaves it. */
  hasCmd: boolean;
  /** How many of the stage's steps have a number so far, and how many there will be. */
  stepNumber: number;
  stepTotal: number;
  /** `env` as RUN takes it, until the next variable. */
  envList: readonly string[] | undefined;
  /** `args` as the history of RUN shows them, until the next variable. */
  argsText: string | undefined;
  readonly budget: CopyBudget;
}

/**
 * How many entries may still be copied: from stage to stage, and into RUN's environment. Without it a file that alternates
 * ENV and FROM would cost the square of its length.
 */
export interface CopyBudget {
  left: number;
  /** Characters that expansions may still add to what is written. */
  textLeft: number;
  patternWork: number;
}

const MAX_COPIED = 1_000_000;
const MAX_EXPANDED = 64 << 20;

export function makeCopyBudget(): CopyBudget {
  return { left: MAX_COPIED, textLeft: MAX_EXPANDED, patternWork: MAX_PATTERN_WORK };
}

/** Pays for characters. Throws BuildError `input-limit`. */
export function spendText(budget: CopyBudget, count: number): void {
  budget.textLeft -= count;
  if (budget.textLeft >= 0) return;
  throw new BuildError(
    "input-limit",
    `Cannot plan the build: its expanded variables have more than ${MAX_EXPANDED} characters in total`,
  );
}

/** Pays for copying. Throws BuildError `input-limit`. */
export function spendBudget(budget: CopyBudget, count: number): void {
  budget.left -= count;
  if (budget.left >= 0) return;
  throw new BuildError(
    "input-limit",
    `Cannot plan the build: its stages and commands hold more than ${MAX_COPIED} variables, labels and ports in total`,
  );
}

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The config of `scratch`, and of a tree of files that is used as a base. */
export function emptyImage(platform: Platform): ImageConfig {
  return {
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant === undefined ? {} : { variant: platform.variant }),
    config: { ...(platform.os !== "windows" && { Env: [`PATH=${DEFAULT_PATH}`] }), WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: [] },
  };
}

export interface StageBase {
  readonly image: ImageConfig;
  readonly platform: Platform;
  readonly rootfs: StepId;
  readonly budget: CopyBudget;
}

/** A stage on top of an image. ONBUILD triggers are used up; PATH is always set. */
export function startFromImage(node: StageNode, base: StageBase): StageState {
  const { config, history, author, os, architecture, variant } = base.image;
  // Configs in the wild have null where a value is missing.
  const { Env, Labels, Volumes, ExposedPorts, OnBuild: _triggers, ...rest } = config ?? {};
  const state: StageState = {
    node,
    rootfs: base.rootfs,
    platform: base.platform,
    env: new Map(),
    args: new Map(),
    imageEnv: [],
    imageEnvPlaces: new Map(),
    labels: new Map(Object.entries(Labels ?? {})),
    volumes: new Set(Object.keys(Volumes ?? {})),
    ports: new Set(Object.keys(ExposedPorts ?? {})),
    triggers: [],
    config: rest,
    author,
    image: {
      os,
      architecture,
      variant,
      "os.version": base.image["os.version"],
      "os.features": base.image["os.features"],
    },
    history: (history ?? []).reduce<HistoryLink | undefined>(
      (before, entry) => ({ entry, before }),
      undefined,
    ),
    hasCmd: false,
    stepNumber: 0,
    stepTotal: 0,
    envList: undefined,
    argsText: undefined,
    budget: base.budget,
  };
  for (const variable of Env ?? []) {
    const [name, value] = splitVariable(variable);
    if (!state.imageEnvPlaces.has(name)) state.imageEnvPlaces.set(name, state.imageEnv.length);
    state.imageEnv.push(variable);
    setVariable(state, name, value);
  }
  ensurePath(state);
  return state;
}

/** A stage on top of an earlier one: it inherits all but the ONBUILD triggers. */
export function startFromStage(node: StageNode, base: StageState): StageState {
  spendBudget(
    base.budget,
    base.env.size +
      base.args.size +
      base.imageEnv.length +
      base.labels.size +
      base.volumes.size +
      base.ports.size,
  );
  const state: StageState = {
    ...base,
    node,
    env: new Map(base.env),
    args: new Map(base.args),
    imageEnv: [...base.imageEnv],
    imageEnvPlaces: new Map(base.imageEnvPlaces),
    labels: new Map(base.labels),
    volumes: new Set(base.volumes),
    ports: new Set(base.ports),
    triggers: [],
    config: { ...base.config },
    hasCmd: false,
    stepNumber: 0,
    stepTotal: 0,
  };
  ensurePath(state);
  return state;
}

function ensurePath(state: StageState): void {
  // Windows has its own, which no image needs to say.
  if (state.platform.os === "windows") return;
  if (!state.imageEnvPlaces.has("PATH")) setImageVariable(state, "PATH", DEFAULT_PATH);
}

/** Name and value of `NAME=value`. */
function splitVariable(variable: string): [name: string, value: string] {
  const equals = variable.indexOf("=");
  return equals < 0 ? [variable, ""] : [variable.slice(0, equals), variable.slice(equals + 1)];
}

/** Sets a variable for RUN and expansions only, as ARG does. */
export function setVariable(state: StageState, name: string, value: string): void {
  (state.env as Map<string, string>).set(name, value);
  state.envList = undefined;
  state.argsText = undefined;
}

/** Declares an ARG, which may have no value. */
export function declareArg(state: StageState, name: string, value: string | undefined): void {
  (state.args as Map<string, string | undefined>).set(name, value);
  state.argsText = undefined;
}

/** Sets a variable of the image, as ENV does. It keeps its place when it gets another value. */
export function setImageVariable(state: StageState, name: string, value: string): void {
  const place = state.imageEnvPlaces.get(name) ?? state.imageEnv.length;
  state.imageEnv[place] = `${name}=${value}`;
  state.imageEnvPlaces.set(name, place);
  setVariable(state, name, value);
}

/** The environment of RUN, `NAME=value`. */
export function listEnv(state: StageState): readonly string[] {
  if (state.envList === undefined) {
    spendBudget(state.budget, state.env.size);
    state.envList = [...state.env].map(([name, value]) => `${name}=${value}`);
  }
  return state.envList;
}

/** Adds a history entry; one without a layer when `isEmpty`. */
export function addHistory(state: StageState, createdBy: string, isEmpty: boolean): void {
  const entry: HistoryEntry = isEmpty
    ? { created_by: createdBy, empty_layer: true }
    : { created_by: createdBy };
  state.history = { entry, before: state.history };
}

/** The image config of a stage as it is now, keys in docker's order. */
export function finishConfig(
  state: StageState,
  { withoutEnv = [] }: { readonly withoutEnv?: readonly string[] } = {},
): ImageConfig {
  const history: HistoryEntry[] = [];
  for (let link = state.history; link !== undefined; link = link.before) history.push(link.entry);
  const { User, Entrypoint, Cmd, WorkingDir, StopSignal, StopTimeout, ArgsEscaped, Healthcheck, Shell } =
    state.config;
  const config: ContainerConfig = {
    User,
    ExposedPorts: toSet(state.ports),
    Env: state.imageEnv.filter((variable) => !withoutEnv.includes(splitVariable(variable)[0])),
    Entrypoint,
    Cmd,
    Volumes: toSet(state.volumes),
    WorkingDir,
    Labels: state.labels.size === 0 ? undefined : Object.fromEntries(sortByKey([...state.labels])),
    StopSignal,
    StopTimeout,
    ArgsEscaped,
    Healthcheck,
    OnBuild: state.triggers.length === 0 ? undefined : state.triggers,
    Shell,
  };
  return dropAbsent({
    author: state.author,
    ...state.image,
    config: dropAbsent(config),
    rootfs: { type: "layers", diff_ids: [] },
    history: history.reverse(),
  });
}

/** Without what Go's JSON leaves out: null, empty text and empty lists. What no instruction knows is gone already. */
function dropAbsent<Value extends object>(value: Value): Value {
  const isThere = (item: unknown) =>
    item !== undefined && item !== null && item !== "" && !(Array.isArray(item) && item.length === 0);
  return Object.fromEntries(Object.entries(value).filter(([, item]) => isThere(item))) as Value;
}

/** A set as JSON has it: an object of empty objects. */
function toSet(values: ReadonlySet<string>): Readonly<Record<string, object>> | undefined {
  if (values.size === 0) return undefined;
  return Object.fromEntries(sortByKey([...values].map((value) => [value, {}])));
}

function sortByKey<Value>(entries: [string, Value][]): [string, Value][] {
  return entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}
