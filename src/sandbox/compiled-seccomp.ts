import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { RuntimeConfig } from "./holder-protocol.ts";

/**
 * Compiled seccomp profiles, for crun alone: it compiles the profile of each container, which is half of its time, but takes a
 * compiled one in an annotation. So the first container's is kept, by a hook, and given to the later ones. The profile itself
 * stays in their config: a runtime that does not know the annotation compiles it.
 */
export interface CompiledSeccomp {
  /** The config with what is known, or with the hook that keeps it. `id` is the container's. */
  addTo(config: RuntimeConfig, id: string): RuntimeConfig;
}

/** The size of an instruction (struct sock_filter of linux/filter.h). */
const INSTRUCTION_BYTES = 8;

/**
 * Newer ones have a cache of their own and no such file: then nothing is kept. What crun tells a hook (config.md of the runtime spec, "POSIX-platform
 * Hooks") is read, for crun 1.8 fails the container when a hook has ended before.
 */
const KEEP_SCRIPT = 'read -r state; { cp "$1" "$2.$$" && mv "$2.$$" "$2"; } 2>/dev/null || :';

/**
 * @param stateDirectory crun's `--root`
 * @param directory of the caller, which no container can reach
 */
export function makeCompiledSeccomp(stateDirectory: string, directory: string): CompiledSeccomp {
  /** By the profile. */
  const known = new Map<string, { readonly path: string; base64?: string }>();
  return {
    addTo(config, id) {
      const profile = config.linux.seccomp;
      if (profile === undefined) return config;
      const kept = known.get(profile);
      if (kept === undefined) {
        const path = join(directory, `seccomp-${known.size}`);
        known.set(profile, { path });
        return withHook(config, [join(stateDirectory, id, "seccomp.bpf"), path]);
      }
      kept.base64 ??= readProgram(kept.path);
      if (kept.base64 === undefined) return config;
      return { ...config, annotations: { "run.oci.seccomp_bpf_data": kept.base64 } };
    },
  };
}

/** The file is there until the container ends, and that waits for the hook. (With a timeout crun 1.8 can miss the hook's end.) */
function withHook(config: RuntimeConfig, paths: readonly [from: string, to: string]): RuntimeConfig {
  const args = ["sh", "-c", KEEP_SCRIPT, "sh", ...paths];
  const hook = { path: "/bin/sh", args, env: ["PATH=/usr/bin:/bin"] };
  return { ...config, hooks: { ...config.hooks, poststart: [hook, ...(config.hooks?.poststart ?? [])] } };
}

function readProgram(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const program = readFileSync(path);
  const isWhole = program.length > 0 && program.length % INSTRUCTION_BYTES === 0;
  return isWhole ? program.toString("base64") : undefined;
}
