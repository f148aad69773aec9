import type { ResourceLimits } from "../oci/resource-limits.ts";

/** `linux.resources` of the OCI runtime spec 1.1, as far as slipway sets them. */
export interface RuntimeResources {
  readonly devices?: readonly DeviceRule[];
  readonly memory?: { readonly limit: number; readonly swap?: number };
  readonly cpu?: {
    readonly shares?: number;
    readonly period?: number;
    readonly quota?: number;
    readonly cpus?: string;
    readonly mems?: string;
  };
}

/** Without `type` it is meant for all devices, without `major` or `minor` for all numbers. */
export interface DeviceRule {
  readonly allow: boolean;
  readonly type?: "c" | "b";
  readonly major?: number;
  readonly minor?: number;
  /** Of `r`, `w` and `m` (mknod). */
  readonly access: string;
}

export function makeRuntimeResources(
  limits: ResourceLimits,
  devices: readonly DeviceRule[],
): RuntimeResources {
  const { memoryBytes, memorySwapBytes } = limits;
  const cpu = withoutUndefined({
    shares: limits.cpuShares,
    period: limits.cpuPeriodMicroseconds,
    quota: limits.cpuQuotaMicroseconds,
    cpus: limits.cpusetCpus,
    mems: limits.cpusetMems,
  });
  return {
    devices,
    ...(memoryBytes !== undefined && {
      memory: { limit: memoryBytes, swap: memorySwapBytes ?? 2 * memoryBytes },
    }),
    ...(Object.keys(cpu).length > 0 && { cpu }),
  };
}

function withoutUndefined<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}
