import { parseHeredocWord } from "../dockerfile/heredoc.ts";
import type { RunInstruction } from "../dockerfile/instruction.ts";
import { evaluateMount, type Mount } from "../dockerfile/mount.ts";
import { BuildError } from "../errors/build-error.ts";
import { shellOf } from "./apply-config.ts";
import { expandIn } from "./expand-in.ts";
import { baseName, cleanPath, joinPath } from "./join-path.ts";
import type { RunMount, RunStep } from "./plan.ts";
import { addContext, ignoresCache, type PlanContext, sourceStep } from "./plan-context.ts";
import type { Command, StageSource } from "./stage-graph.ts";
import { addHistory, listEnv, type StageState, spendBudget, spendText } from "./stage-state.ts";
import { displayLine, nameStep } from "./step-name.ts";

/** RUN: one step with one layer. Throws BuildError. */
export function applyRun(context: PlanContext, state: StageState, command: Command): void {
  const instruction = command.instruction as RunInstruction;
  const { args, files, summary } = commandOf(state, instruction);
  const evaluated = instruction.mounts.map((spec) =>
    evaluateMount(spec, (word) => expandIn(state, word, context.escape)),
  );
  const mounts = makeMounts(context, state, { mounts: evaluated, sources: command.sources });
  const { options } = context;
  const text = displayLine({ ...state, env: maskSecrets(state, evaluated) }, instruction.line, {
    escape: context.escape,
    rawQuotes: true,
    keepUnset: true,
  });
  const hostname = options.buildArgs?.BUILDKIT_SANDBOX_HOSTNAME;
  const step: Omit<RunStep, "id"> = {
    kind: "run",
    name: nameStep(context, state, { text: text + summary, isTrigger: command.isTrigger }),
    stage: state.node.label,
    platform: state.platform,
    span: instruction.span,
    ...(ignoresCache(context, state.node) ? { ignoreCache: true } : {}),
    base: state.rootfs,
    args,
    ...(files.length > 0 ? { files } : {}),
    env: listEnv(state),
    proxyEnv: context.proxyEnv,
    workingDirectory: cleanPath(state.config.WorkingDir ?? "/"),
    user: state.config.User ?? "",
    mounts: [...(options.volumes ?? []), ...mounts],
    network: instruction.network === "default" ? (options.network ?? "default") : instruction.network,
    security: instruction.security,
    devices: instruction.devices,
    ...(hostname ? { hostname } : {}),
    ...(options.shmSizeBytes === undefined ? {} : { shmSizeBytes: options.shmSizeBytes }),
    ulimits: options.ulimits ?? [],
    ...(options.resources === undefined ? {} : { resources: options.resources }),
    ...(options.confinement === undefined ? {} : { confinement: options.confinement }),
    extraHosts: options.extraHosts ?? [],
  };
  state.rootfs = context.steps.add(step);
  addHistory(state, `RUN ${describeArgs(state)}${args.join(" ")} # buildkit`, false);
}

/** The ARGs in front of the command in history: `|2 A=1 B= `. */
function describeArgs(state: StageState): string {
  if (state.args.size === 0) return "";
  if (state.argsText === undefined) {
    spendBudget(state.budget, state.args.size);
    const texts = [...state.args].map(([name, value]) => `${name}=${state.env.get(name) ?? value ?? ""} `);
    state.argsText = `|${state.args.size} ${texts.join("")}`;
  }
  spendText(state.budget, state.argsText.length);
  return state.argsText;
}

interface RunCommand {
  readonly args: readonly string[];
  readonly files: NonNullable<RunStep["files"]>;
  /** Of a heredoc: its first line, for the step's name. */
  readonly summary: string;
}

/** Where BuildKit mounts a heredoc that is a script of its own. */
const PIPES = "/dev/pipes/";

/**
 * What is executed. A command that is one heredoc and nothing else runs its text: in the shell, or, with a `#!` line, as
 * a program. Any other heredoc goes to the shell as it is written.
 */
function commandOf(state: StageState, { command, heredocs }: RunInstruction): RunCommand {
  if (command.form === "exec") {
    if (heredocs.length > 0) {
      throw new BuildError(
        "dockerfile-syntax",
        'Cannot parse "RUN": a heredoc needs the shell form, not a JSON array',
      );
    }
    return { args: command.args, files: [], summary: "" };
  }
  const shell = shellOf(state);
  const [heredoc] = heredocs;
  if (heredoc === undefined) return { args: [...shell, command.text], files: [], summary: "" };
  if (parseHeredocWord(command.text) === undefined) {
    const bodies = heredocs.map(({ name, rawContent }) => `\n${rawContent}${name}`);
    return { args: [...shell, command.text + bodies.join("")], files: [], summary: "" };
  }
  const summary = ` (${summarize(heredoc.rawContent)})`;
  if (!heredoc.content.startsWith("#!")) return { args: [...shell, heredoc.content], files: [], summary };
  const path = `${PIPES}${heredoc.name}`;
  return { args: [...shell, path], files: [{ path, content: heredoc.content, mode: 0o755 }], summary };
}

function summarize(text: string): string {
  const [first = "", ...others] = text.trim().split(/\r?\n/, 2);
  return others.length > 0 ? `${first}...` : first;
}

/** A secret's variable is not known yet: its name shows that it will be there. */
function maskSecrets({ env, budget }: StageState, mounts: readonly Mount[]): ReadonlyMap<string, string> {
  const names = mounts.flatMap((mount) => (mount.env === undefined ? [] : [mount.env]));
  if (names.length === 0) return env;
  spendBudget(budget, env.size);
  return new Map([...env, ...names.map((name) => [name, "****"] as const)]);
}

function makeMounts(
  context: PlanContext,
  state: StageState,
  input: { readonly mounts: readonly Mount[]; readonly sources: readonly (StageSource | undefined)[] },
): readonly RunMount[] {
  let agents = 0;
  return input.mounts.map((mount, i) => {
    const source = input.sources[i];
    if (mount.type === "ssh") return makeSsh(mount, mount.target === "" ? agents++ : 0);
    return makeMount(context, state, { mount, source });
  });
}

function makeMount(
  context: PlanContext,
  state: StageState,
  { mount, source }: { readonly mount: Mount; readonly source: StageSource | undefined },
): RunMount {
  const tree = (given: StageSource) => sourceStep(context, given, { verb: "mount from", stage: state.node });
  switch (mount.type) {
    case "bind":
      return {
        type: "bind",
        from: source === undefined ? addContext(context, "context") : tree(source),
        source: cleanPath(mount.source),
        target: mountTarget(state, mount),
        readWrite: !mount.readOnly,
      };
    case "cache":
      return makeCache(context, state, { mount, from: source && tree(source) });
    case "tmpfs":
      return { type: "tmpfs", target: mountTarget(state, mount), sizeBytes: mount.sizeBytes };
    case "secret":
      return makeSecret(mount);
    case "ssh":
      return makeSsh(mount, 0);
  }
}

function makeSsh(mount: Mount, number: number): RunMount {
  return {
    type: "ssh",
    id: mount.id || "default",
    target: mount.target || `/run/buildkit/ssh_agent.${number}`,
    required: mount.required,
    mode: mount.mode ?? 0o600,
    uid: mount.uid ?? 0,
    gid: mount.gid ?? 0,
  };
}

function mountTarget(state: StageState, mount: Mount): string {
  const target = joinPath(state.config.WorkingDir || "/", mount.target);
  if (target !== "/") return target;
  throw new BuildError("dockerfile-syntax", `Cannot mount at "${mount.target}": invalid mount target "/"`, {
    hint: "Give the mount a target below the root",
  });
}

function makeCache(
  context: PlanContext,
  state: StageState,
  { mount, from }: { readonly mount: Mount; readonly from: number | undefined },
): RunMount {
  const namespace = context.options.buildArgs?.BUILDKIT_CACHE_MOUNT_NS;
  const id = mount.id || (mount.target.startsWith("/") ? cleanPath(mount.target) : mount.target);
  return {
    type: "cache",
    id: namespace ? `${namespace}/${id}` : id,
    target: mountTarget(state, mount),
    sharing: mount.sharing,
    ...(from === undefined ? {} : { from, source: cleanPath(mount.source) }),
    mode: mount.mode ?? 0o755,
    uid: mount.uid ?? 0,
    gid: mount.gid ?? 0,
    readOnly: mount.readOnly,
  };
}

function makeSecret(mount: Mount): RunMount {
  const id = mount.source || mount.id || baseName(mount.target);
  const fallback = mount.env === undefined ? `/run/secrets/${baseName(id)}` : undefined;
  const target = mount.target || fallback;
  return {
    type: "secret",
    id,
    ...(target === undefined ? {} : { target: cleanPath(target) }),
    ...(mount.env === undefined ? {} : { env: mount.env }),
    required: mount.required,
    mode: mount.mode ?? 0o400,
    uid: mount.uid ?? 0,
    gid: mount.gid ?? 0,
  };
}
