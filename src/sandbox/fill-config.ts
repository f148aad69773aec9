import { join } from "node:path";
import type { HeldCgroup } from "./held-cgroups.ts";
import type { ContainerRequest, RuntimeConfig } from "./holder-protocol.ts";

/** Fills in where things are in the holder: the root, memory files, trees, the network namespace. */
export function fillConfig(
  { directory, runtimeConfig: config }: ContainerRequest,
  paths: {
    readonly filesDirectory: string;
    readonly rootDirectory: string;
    readonly networkPath: string | undefined;
    readonly cgroup: HeldCgroup;
  },
): RuntimeConfig {
  const resolveSource = (source: string): string => {
    const [, scheme, name = "", path = ""] = /^(memory|socket|tree):([^/]+)(.*)$/s.exec(source) ?? [];
    if (scheme === "memory" || scheme === "socket") return join(paths.filesDirectory, name);
    if (scheme === "tree") return join(directory, treeDirectory(name), "root", path);
    return source;
  };
  const namespaces = config.linux.namespaces.map((namespace) =>
    namespace.type === "network" && paths.networkPath !== undefined
      ? { ...namespace, path: paths.networkPath }
      : namespace,
  );
  return {
    ...config,
    root: { ...config.root, path: paths.rootDirectory },
    mounts: config.mounts.map((mount) => ({ ...mount, source: resolveSource(mount.source) })),
    linux: {
      ...config.linux,
      namespaces,
      resources: paths.cgroup.resources,
      ...(paths.cgroup.path !== undefined && { cgroupsPath: paths.cgroup.path }),
    },
  };
}

/** The text of config.json. */
export function formatConfig({ linux, ...config }: RuntimeConfig): string {
  const { seccomp, ...short } = linux;
  const linuxText = formatJson(short);
  const withSeccomp = seccomp === undefined ? linuxText : `${linuxText.slice(0, -1)},"seccomp":${seccomp}}`;
  return `${formatJson(config).slice(0, -1)},"linux":${withSeccomp}}`;
}

/** No limit is 2 ** 64 - 1, which no number of JavaScript is: those that come near stand for it. */
function formatJson(value: object): string {
  const text = JSON.stringify(value, (_, one) =>
    typeof one === "number" && one >= 2 ** 64 - 2048 ? UNLIMITED : one,
  );
  return text.replaceAll(JSON.stringify(UNLIMITED), "18446744073709551615");
}

const UNLIMITED = "\u0000unlimited\u0000";

/** The directory of a mounted tree, in that of its run. */
export function treeDirectory(name: string): string {
  return `tree-${name}`;
}
