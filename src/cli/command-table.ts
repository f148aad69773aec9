import type { Command } from "commander";
import { suggestNearest } from "../errors/suggest-nearest.ts";
import type { CommandContext } from "./command-context.ts";

/** Gives a command its arguments, options and action. */
export type DefineCommand = (command: Command, context: CommandContext) => void;

/** A command as the overview knows it; the rest is loaded when it is called. */
export interface CommandEntry {
  readonly name: string;
  readonly group: "Build" | "Images" | "Containers" | "Store" | "Settings";
  readonly summary: string;
  readonly load: () => Promise<DefineCommand>;
}

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "build",
    group: "Build",
    summary: "Build an image from a Dockerfile",
    load: async () => (await import("./commands/build.ts")).defineBuild,
  },
  {
    name: "check",
    group: "Build",
    summary: "Check a Dockerfile without building it",
    load: async () => (await import("./commands/check.ts")).defineCheck,
  },
  {
    name: "plan",
    group: "Build",
    summary: "Tell what a build would take from the cache, without building",
    load: async () => (await import("./commands/plan.ts")).definePlan,
  },
  {
    name: "parse",
    group: "Build",
    summary: "Show how a Dockerfile is read",
    load: async () => (await import("./commands/parse.ts")).defineParse,
  },
  {
    name: "images",
    group: "Images",
    summary: "List the images of the store",
    load: async () => (await import("./commands/images.ts")).defineImages,
  },
  {
    name: "pull",
    group: "Images",
    summary: "Download an image from a registry",
    load: async () => (await import("./commands/pull.ts")).definePull,
  },
  {
    name: "push",
    group: "Images",
    summary: "Upload an image to a registry",
    load: async () => (await import("./commands/push.ts")).definePush,
  },
  {
    name: "tag",
    group: "Images",
    summary: "Give an image another name",
    load: async () => (await import("./commands/tag.ts")).defineTag,
  },
  {
    name: "rmi",
    group: "Images",
    summary: "Remove images",
    load: async () => (await import("./commands/rmi.ts")).defineRmi,
  },
  {
    name: "prune-images",
    group: "Images",
    summary: "Remove images without a name, or that nothing needs",
    load: async () => (await import("./commands/prune-images.ts")).definePruneImages,
  },
  {
    name: "import",
    group: "Images",
    summary: "Make an image of a root file system's tar",
    load: async () => (await import("./commands/import.ts")).defineImport,
  },
  {
    name: "load",
    group: "Images",
    summary: "Take images out of an archive",
    load: async () => (await import("./commands/load.ts")).defineLoad,
  },
  {
    name: "save",
    group: "Images",
    summary: "Write an image as an archive",
    load: async () => (await import("./commands/save.ts")).defineSave,
  },
  {
    name: "inspect",
    group: "Images",
    summary: "Show all that is known of an image or container, as JSON",
    load: async () => (await import("./commands/inspect.ts")).defineInspect,
  },
  {
    name: "history",
    group: "Images",
    summary: "Show what each instruction added to an image",
    load: async () => (await import("./commands/history.ts")).defineHistory,
  },
  {
    name: "ls",
    group: "Images",
    summary: "List the files of an image",
    load: async () => (await import("./commands/ls.ts")).defineLs,
  },
  {
    name: "cat",
    group: "Images",
    summary: "Print a file of an image",
    load: async () => (await import("./commands/cat.ts")).defineCat,
  },
  {
    name: "copy",
    group: "Images",
    summary: "Copy an image between registries, layouts and archives",
    load: async () => (await import("./commands/copy.ts")).defineCopy,
  },
  {
    name: "size",
    group: "Images",
    summary: "Show what makes an image big",
    load: async () => (await import("./commands/size.ts")).defineSize,
  },
  {
    name: "diff",
    group: "Images",
    summary: "Show which files differ between two images",
    load: async () => (await import("./commands/diff.ts")).defineDiff,
  },
  {
    name: "login",
    group: "Images",
    summary: "Log in to a registry",
    load: async () => (await import("./commands/login.ts")).defineLogin,
  },
  {
    name: "logout",
    group: "Images",
    summary: "Log out of a registry",
    load: async () => (await import("./commands/logout.ts")).defineLogout,
  },
  {
    name: "run",
    group: "Containers",
    summary: "Run a command in an image, and throw its changes away",
    load: async () => (await import("./commands/run.ts")).defineRun,
  },
  {
    name: "container",
    group: "Containers",
    summary: "Name an image's files, and copy from them",
    load: async () => (await import("./commands/container.ts")).defineContainer,
  },
  {
    name: "du",
    group: "Store",
    summary: "Show what the store takes on disk",
    load: async () => (await import("./commands/du.ts")).defineDu,
  },
  {
    name: "prune",
    group: "Store",
    summary: "Remove what no image, container or running build needs",
    load: async () => (await import("./commands/prune.ts")).definePrune,
  },
  {
    name: "builds",
    group: "Build",
    summary: "List builds, show their steps and logs, follow one that runs",
    load: async () => (await import("./commands/builds.ts")).defineBuilds,
  },
  {
    name: "explain",
    group: "Build",
    summary: "Tell what a build took from the cache, and why not the rest",
    load: async () => (await import("./commands/explain.ts")).defineExplain,
  },
  {
    name: "verify",
    group: "Store",
    summary: "Check the whole store",
    load: async () => (await import("./commands/verify.ts")).defineVerify,
  },
  {
    name: "completion",
    group: "Settings",
    summary: "Print the completions of a shell",
    load: async () => (await import("./commands/completion.ts")).defineCompletion,
  },
  {
    name: "config",
    group: "Settings",
    summary: "Show the settings, and where each one comes from",
    load: async () => (await import("./commands/config.ts")).defineConfig,
  },
];

/** docker's other spellings of the same: what begins like a key stands for its value. */
const SPELLINGS: readonly (readonly [string, string])[] = [
  ["version", "--version"],
  ["buildx version", "--version"],
  ["buildx build", "build"],
  ["buildx b", "build"],
  ["builder build", "build"],
  // An image of such a name is docker.io/library/ls.
  ...["ls", "show", "inspect", "logs", "rm"].flatMap((name) =>
    ["history", "buildx history"].map((from) => [`${from} ${name}`, `builds ${name}`] as const),
  ),
  ["logs", "builds logs"],
  ["image ls", "images"],
  ["image list", "images"],
  ["image rm", "rmi"],
  ["image remove", "rmi"],
  ["image prune", "prune-images"],
  ["container run", "run"],
  ["container inspect", "inspect"],
  ["ps", "container ls"],
  ["create", "container create"],
  ["cp", "container cp"],
  ["rm", "container rm"],
  ["system df", "du"],
  ["system prune", "prune"],
  ["buildx du", "du"],
  ["builder prune", "prune"],
  ["buildx prune", "prune"],
  ...["build", "history", "import", "inspect", "load", "pull", "push", "save", "tag"].map(
    (name) => [`image ${name}`, name] as const,
  ),
];

/** docker's groups of commands that are none of slipway's own. */
const GROUPS = ["buildx", "builder", "image", "system"];

const OF_BUILDERS = ["create", "use", "ls", "inspect", "rm", "stop"];

/** docker's commands for what only a daemon can have. */
const OF_DAEMON = new Set(
  "attach commit compose context events exec info kill network node pause port rename restart service stack start stats stop swarm top unpause update volume wait".split(
    " ",
  ),
);

const REMOTE_HINT =
  "slipway pull NAME and slipway inspect NAME show an image; slipway copy takes it from place to place";

/** What docker has instead of which something else is to be done here, by the words that it begins with. */
const INSTEAD: Readonly<Record<string, string>> = {
  "buildx imagetools": REMOTE_HINT,
  manifest: REMOTE_HINT,
  "buildx bake": "Bake files are not read: give each target's options to slipway build",
};

/** What is like docker's `buildx CMD` and is not there; undefined for what is no such thing. */
export function describeMissing(args: readonly string[]): { message: string; hint: string } | undefined {
  const [group = "", name = ""] = args;
  for (const words of [group, `${group} ${name}`]) {
    const hint = OF_DAEMON.has(words)
      ? "It needs docker: slipway has no daemon that keeps containers"
      : INSTEAD[words];
    if (hint !== undefined) return { message: `Unknown command "${words}"`, hint };
  }
  if (!GROUPS.includes(group)) return undefined;
  const known = SPELLINGS.flatMap(([from]) =>
    from.startsWith(`${group} `) ? [from.slice(group.length + 1)] : [],
  );
  if (group === "buildx" && OF_BUILDERS.includes(name)) {
    return {
      message: `Unknown command "buildx ${name}"`,
      hint: "Leave it out: there are no builders to make or choose, slipway builds by itself",
    };
  }
  const nearest = suggestNearest(name, known);
  return {
    message: `Unknown command "${`${group} ${name}`.trim()}"`,
    hint:
      nearest === undefined
        ? `There is ${[...new Set(known)].map((one) => `${group} ${one}`).join(", ")}`
        : `Did you mean ${group} ${nearest}?`,
  };
}

/** Writes docker's other spellings of a command as slipway has it. `args` begins with the command's name. */
export function respell(args: readonly string[]): readonly string[] {
  for (const [from, to] of SPELLINGS) {
    const words = from.split(" ");
    if (words.every((word, position) => args[position] === word)) {
      return [...to.split(" "), ...args.slice(words.length)];
    }
  }
  return args;
}
