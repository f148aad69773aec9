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

/** No limit is 2 ** 64 - 1, which no number of JavaScript is: those that come near stand for it. */
export function formatConfig(config: RuntimeConfig): string {
  const text = JSON.stringify(config, (_, value) =>
    typeof value === "number" && value >= 2 ** 64 - 2048 ? UNLIMITED : value,
  );
  return text.replaceAll(JSON.stringify(UNLIMITED), "18446744073709551615");
}

const UNLIMITED = "\u0000unlimited\u0000";

/** The directory of a mounted tree, in that of its run. */
export function treeDirectory(name: string): string {
  return `tree-${name}`;
}
