import { parseDockerfile } from "../src/dockerfile/parse-dockerfile.ts";
import type { ContainerConfig } from "../src/oci/image-config.ts";
import type { Platform } from "../src/oci/platform.ts";
import type { ImageBase, Plan, PlanOptions } from "../src/plan/plan.ts";
import { planBuild } from "../src/plan/plan-build.ts";

export const AMD64: Platform = { os: "linux", architecture: "amd64" };
export const ARM64: Platform = { os: "linux", architecture: "arm64" };

/** A build for AMD64 on AMD64. */
export const PLAN_OPTIONS: PlanOptions = { platforms: [AMD64], buildPlatform: AMD64 };

/** An image as a base, with one history entry that is its name. */
export function makeBase(reference: string, platform: Platform, config: ContainerConfig = {}): ImageBase {
  const { os, architecture } = platform;
  return {
    reference,
    platform,
    config: {
      os,
      architecture,
      config,
      rootfs: { type: "layers", diff_ids: [] },
      history: [{ created_by: reference }],
    },
  };
}

export interface PlanSetup extends Partial<PlanOptions> {
  /** Configs of images by reference; any other image has an empty one. */
  readonly images?: Record<string, ContainerConfig>;
}

/** Plans to the fixpoint, every image being there. */
export function planText(text: string, { images = {}, ...options }: PlanSetup = {}): Plan {
  const syntax = parseDockerfile(text);
  const bases: ImageBase[] = [];
  while (true) {
    const result = planBuild(syntax, { ...PLAN_OPTIONS, ...options }, bases);
    if (!("needs" in result)) return result;
    bases.push(
      ...result.needs.map(({ reference, platform }) => makeBase(reference, platform, images[reference])),
    );
  }
}
