import type { Option } from "commander";
import { makeOption, type OptionSettings } from "./make-option.ts";
import { RESOURCES } from "./parse-resources.ts";
import { makeRegistryFlags, type RegistryFlags } from "./registry-flags.ts";
import { PROGRESS_MODES } from "./start-progress.ts";

/** What commander makes of them; lists are empty, others undefined where an option is not given. */
export interface BuildFlags extends RegistryFlags {
  readonly file?: string;
  readonly target: readonly string[];
  readonly buildArg: readonly string[];
  readonly buildArgFile: readonly string[];
  readonly ignorefile?: string;
  readonly normalizeModes?: true;
  readonly buildContext: readonly string[];
  readonly platform: readonly string[];
  readonly pull?: true;
  readonly tag: readonly string[];
  readonly label: readonly string[];
  readonly unsetenv: readonly string[];
  readonly unsetlabel: readonly string[];
  readonly output: readonly string[];
  readonly annotation: readonly string[];
  readonly squash?: true;
  readonly squashNew?: true;
  readonly squashStage?: string;
  readonly reproduce?: string;
  readonly sourceDateEpoch?: string;
  readonly timestamp?: string;
  readonly rewriteTimestamp?: true;
  readonly push?: true;
  readonly load?: true;
  readonly iidfile?: string;
  readonly metadataFile?: string;
  readonly noCache?: true;
  readonly noCacheFilter: readonly string[];
  readonly cacheFrom: readonly string[];
  readonly cacheTo: readonly string[];
  readonly cacheTtl?: string;
  readonly timeout?: string;
  readonly secret: readonly string[];
  readonly allow: readonly string[];
  readonly network?: string;
  readonly addHost: readonly string[];
  readonly shmSize?: string;
  readonly ulimit: readonly string[];
  readonly ssh: readonly string[];
  readonly resource: readonly string[];
  readonly memory?: string;
  readonly memorySwap?: string;
  readonly cpuShares?: string;
  readonly cpuPeriod?: string;
  readonly cpuQuota?: string;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  readonly cgroupParent?: string;
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly securityOpt: readonly string[];
  readonly isolation?: string;
  readonly volume: readonly string[];
  readonly builder?: string;
  readonly rm?: true;
  readonly forceRm?: true;
  readonly compress?: true;
  readonly jobs?: string;
  readonly progress?: string;
  readonly quiet?: true;
  readonly explain?: true;
  readonly check?: true;
  readonly call?: string;
  readonly attest: readonly string[];
  readonly provenance?: string;
  readonly sbom?: string;
}

const NETWORKS = ["default", "none", "host"];

const SOURCE = "Source:";
const RESULT = "Result:";
const CACHE = "Cache:";
const RUN = "What RUN sees:";
const TELL = "What is told:";

/** The options of `build` that do something. Their names and forms are docker buildx's. */
export function makeBuildOptions(): Option[] {
  const many = (group: string): OptionSettings => ({ group, isRepeatable: true });
  return [
    makeOption("-f, --file <file>", "the Dockerfile; - reads it from stdin", { group: SOURCE }),
    makeOption("--target <stage>", "build this stage, not the last one; several in one build", many(SOURCE)),
    makeOption(
      "--build-arg <name=value>",
      "value for an ARG; NAME takes it from the environment",
      many(SOURCE),
    ),
    makeOption(
      "--build-arg-file <file>",
      "build arguments, NAME=VALUE a line; --build-arg wins",
      many(SOURCE),
    ),
    makeOption("--ignorefile <file>", "in place of .dockerignore", { group: SOURCE }),
    makeOption("--normalize-modes", "the umask of a checkout is no change: 0644, 0755", { group: SOURCE }),
    makeOption(
      "--build-context <name=value>",
      "a directory, URL, git repository, docker-image://NAME or oci-layout://DIR[:TAG], for FROM and COPY --from",
      many(SOURCE),
    ),
    makeOption("--platform <platform>", "os/architecture[/variant], several with commas", many(SOURCE)),
    makeOption("--pull", "ask registries also for images that are here", { group: SOURCE }),
    makeOption("-t, --tag <name>", "name for the image", many(RESULT)),
    makeOption("--label <name=value>", "label for the image", many(RESULT)),
    makeOption("--unsetlabel <name>", "leave out a label of the base image or Dockerfile", many(RESULT)),
    makeOption("--unsetenv <name>", "leave out a variable that RUNs still see", many(RESULT)),
    makeOption(
      "-o, --output <attributes>",
      "DIRECTORY, - for a tar, or [TARGET=]type=image|registry|oci|docker|local|tar|cacheonly,dest=,name=,push=,compression=,...",
      many(RESULT),
    ),
    makeOption("--push", "push the image to its names' registries", { group: RESULT }),
    makeOption(
      "--load",
      "keep the image in the store besides other outputs, and load it into docker where an engine runs",
      { group: RESULT },
    ),
    makeOption(
      "--annotation <[level:]name=value>",
      "annotation for the image, its index or descriptors",
      many(RESULT),
    ),
    makeOption(
      "--provenance <value>",
      "tell in the image how it was made: true, false or mode=max,version=v1",
      {
        group: RESULT,
      },
    ),
    makeOption("--attest <value>", "the same as type=provenance,mode=max", many(RESULT)),
    makeOption("--reproduce <image>", "build again without the cache, say equal or what differs first", {
      group: RESULT,
    }),
    makeOption("--squash", "make all layers of the image one", { group: RESULT }),
    makeOption("--squash-new", "make the layers above the base image's one", { group: RESULT }),
    makeOption("--squash-stage <stage>", "make the layers of one stage one", { group: RESULT }),
    makeOption("--source-date-epoch <seconds>", "time of the image: the build argument SOURCE_DATE_EPOCH", {
      group: RESULT,
    }),
    makeOption("--rewrite-timestamp", "no file of the new layers is later than SOURCE_DATE_EPOCH", {
      group: RESULT,
    }),
    makeOption("--timestamp <seconds>", "time of the image and of every file of its new layers", {
      group: RESULT,
    }),
    makeOption("--iidfile <file>", "write the image id there", { group: RESULT }),
    makeOption("--metadata-file <file>", "write digests and names there, as JSON", { group: RESULT }),
    makeOption("--no-cache", "run every step", { group: CACHE }),
    makeOption(
      "--cache-from <attributes>",
      "look into another machine's cache: type=local,src=DIR, type=registry,ref=NAME, or NAME",
      many(CACHE),
    ),
    makeOption(
      "--cache-to <attributes>",
      "write the cache for other machines: type=local,dest=DIR|registry,ref=NAME|inline, mode=min|max, ...",
      many(CACHE),
    ),
    makeOption("--cache-ttl <duration>", "take only results from the cache that are younger, like 24h", {
      group: CACHE,
    }),
    makeOption("--no-cache-filter <stages>", "run every step of these stages", many(CACHE)),
    makeOption("--timeout <duration>", "stop the build when it takes longer, like 30m", { group: RUN }),
    makeOption("--secret <attributes>", "id=ID,src=FILE or id=ID,env=NAME", many(RUN)),
    makeOption("--allow <entitlement>", "network.host, security.insecure, device or device=NAME", many(RUN)),
    makeOption("--ssh <agent>", "default, ID=SOCKET or ID=KEYFILE for RUN --mount=type=ssh", many(RUN)),
    makeOption("--network <mode>", "default, none or host", { group: RUN, values: NETWORKS }),
    makeOption("--add-host <host:address>", "line for /etc/hosts", many(RUN)),
    makeOption("--shm-size <size>", "size of /dev/shm, like 64m", { group: RUN }),
    makeOption("--ulimit <limit>", "like nofile=1024:2048", many(RUN)),
    makeOption("--resource <limits>", `what a RUN may use: ${RESOURCES.join(", ")}`, many(RUN)),
    makeOption("-m, --memory <size>", "the same as --resource memory=SIZE", { group: RUN }),
    makeOption("--memory-swap <size>", "the same as --resource memory-swap=SIZE", { isHidden: true }),
    makeOption("-c, --cpu-shares <weight>", "the same as --resource cpu-shares=WEIGHT", { isHidden: true }),
    makeOption("--cpu-period <us>", "the same as --resource cpu-period=US", { isHidden: true }),
    makeOption("--cpu-quota <us>", "the same as --resource cpu-quota=US", { isHidden: true }),
    makeOption("--cpuset-cpus <list>", "the same as --resource cpuset-cpus=LIST", { isHidden: true }),
    makeOption("--cpuset-mems <list>", "the same as --resource cpuset-mems=LIST", { isHidden: true }),
    makeOption("--cgroup-parent <path>", "the cgroup that those of RUNs stand in", { group: RUN }),
    makeOption(
      "-v, --volume <from:to[:ro]>",
      "a file or directory of this machine; its content is in no cache key",
      many(RUN),
    ),
    makeOption("--cap-add <capability>", "like NET_ADMIN, or ALL", many(RUN)),
    makeOption("--cap-drop <capability>", "like NET_RAW, or ALL", many(RUN)),
    makeOption("--security-opt <option>", "seccomp=unconfined or no-new-privileges", many(RUN)),
    makeOption("--isolation <kind>", "oci: the only one that there is", { isHidden: true }),
    makeOption("--jobs <number>", "how many RUNs may go on at once (default: 16)", { group: RUN }),
    ...makeRegistryFlags({ group: SOURCE }),
    makeOption(
      "--progress <mode>",
      "auto, plain, tty, quiet or rawjson (BuildKit's events, one JSON object a line)",
      { group: TELL, values: PROGRESS_MODES },
    ),
    makeOption("--explain", "tell what changed for each step that is not in the cache", { group: TELL }),
    makeOption("-q, --quiet", "nothing but the image id, on stdout", { group: TELL }),
    makeOption("--check", "only check the Dockerfile: the same as --call check", { group: TELL }),
    makeOption(
      "--call <method>",
      "build, check, outline (what the target takes) or targets, each with ,format=json",
      { group: TELL, values: ["build", "check", "outline", "targets"] },
    ),
    ...WITHOUT_EFFECT.map((flags) => makeOption(flags, "has no effect", { isHidden: true })),
    makeOption("--builder <name>", "there are none", { isHidden: true }),
    // `--sbom=false` asks for what is the case.
    makeOption("--sbom <value>", "no SBOM can be made", { isHidden: true }),
  ];
}

/** What other builders need these for happens anyway, or never. */
const WITHOUT_EFFECT = ["--rm", "--force-rm", "--compress"];
