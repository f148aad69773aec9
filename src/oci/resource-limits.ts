/** What a command may use of the machine at most: of `--resource`, `--memory` and their like, and `--cgroup-parent`. */
export interface ResourceLimits {
  readonly memoryBytes?: number;
  /** Memory and swap together; -1 is no limit. Twice the memory when absent, as docker has it. */
  readonly memorySwapBytes?: number;
  /** Relative weight, 1024 for everybody else. */
  readonly cpuShares?: number;
  readonly cpuPeriodMicroseconds?: number;
  readonly cpuQuotaMicroseconds?: number;
  /** A list as `0-2,4`. */
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  /** Absolute, or relative to the root, in each hierarchy of cgroups. */
  readonly cgroupParent?: string;
}
