import { type Stats, statSync } from "node:fs";
import type { DeviceRule } from "./runtime-resources.ts";

/** A device node of a container: `linux.devices` of the OCI runtime spec 1.1. */
export interface ContainerDevice {
  /** In the container. */
  readonly path: string;
  readonly type: "c" | "b";
  readonly major: number;
  readonly minor: number;
  readonly fileMode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

/** The device that a node of this machine stands for; undefined when there is no such node. */
export function readDevice(hostPath: string, path: string): ContainerDevice | undefined {
  let stats: Stats;
  try {
    stats = statSync(hostPath);
  } catch {
    return undefined;
  }
  if (!stats.isCharacterDevice() && !stats.isBlockDevice()) return undefined;
  return {
    path,
    type: stats.isBlockDevice() ? "b" : "c",
    ...splitDeviceNumber(stats.rdev),
    fileMode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
  };
}

/** Lets the command use the device. `access` is of `r`, `w` and `m`. */
export function allowDevice({ type, major, minor }: ContainerDevice, access: string): DeviceRule {
  return { allow: true, type, major, minor, access };
}

/** glibc's gnu_dev_major and gnu_dev_minor. */
function splitDeviceNumber(rdev: number): { readonly major: number; readonly minor: number } {
  const number = BigInt(rdev);
  return {
    major: Number(((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn)),
    minor: Number((number & 0xffn) | ((number >> 12n) & ~0xffn)),
  };
}
