import { statSync } from "node:fs";
import { BuildError } from "../errors/build-error.ts";
import { type CdiDevice, type CdiEdits, findCdiDevices, readCdiDevices } from "./cdi-devices.ts";
import { allowDevice, type ContainerDevice, readDevice } from "./container-device.ts";
import type { RuntimeHooks } from "./holder-protocol.ts";
import type { ContainerOptions } from "./run-container.ts";
import type { DeviceRule } from "./runtime-resources.ts";

/** What `--device` adds to a container. */
export interface FoundDevices {
  readonly devices: readonly ContainerDevice[];
  readonly deviceRules: readonly DeviceRule[];
  readonly mounts: ContainerOptions["mounts"];
  /** `NAME=value`. */
  readonly env: readonly string[];
  readonly hooks: RuntimeHooks;
}

export interface DeviceRequest {
  /** `/dev/NAME[:PATH[:rwm]]`, or a CDI name: `vendor/class=name`, `vendor/class=*`, `vendor/class` for the first. */
  readonly name: string;
  readonly required: boolean;
}

/** Whether the user has granted a device, by a name that was asked for or that it has. */
export type IsDeviceAllowed = (names: readonly string[]) => boolean;

/** As BuildKit, a device that is not there needs no permission; a required one must be there. */
export async function findDevices(
  requests: readonly DeviceRequest[],
  {
    isAllowed,
    cdiDirectories,
  }: { readonly isAllowed: IsDeviceAllowed; readonly cdiDirectories?: readonly string[] },
): Promise<FoundDevices> {
  const known = requests.some(({ name }) => !isPath(name)) ? await readCdiDevices(cdiDirectories) : [];
  const found: FoundDevices[] = [];
  for (const { name, required } of requests) {
    if (isPath(name)) {
      const device = findPlainDevice(name);
      if (device === undefined && required) throw missingDevice(name);
      if (device === undefined) continue;
      if (!isAllowed([name, name.split(":")[0]!])) throw refusedDevice(name);
      found.push({ ...NOTHING, devices: [device.device], deviceRules: [device.rule] });
      continue;
    }
    const devices = findCdiDevices(known, name);
    if (devices.length === 0 && required) throw missingDevice(name);
    for (const device of devices) {
      if (!device.isAutoAllowed && !isAllowed([name, device.name, device.kind]))
        throw refusedDevice(device.name);
    }
    found.push(...findEdits(devices).map(applyEdits));
  }
  return {
    devices: found.flatMap(({ devices }) => devices),
    deviceRules: found.flatMap(({ deviceRules }) => deviceRules),
    mounts: found.flatMap(({ mounts }) => mounts),
    env: found.flatMap(({ env }) => env),
    hooks: mergeHooks(found.map(({ hooks }) => hooks)),
  };
}

const NOTHING: FoundDevices = { devices: [], deviceRules: [], mounts: [], env: [], hooks: {} };

function isPath(name: string): boolean {
  return name.startsWith("/");
}

function findPlainDevice(name: string) {
  const [hostPath = "", path = hostPath, access = "rwm"] = name.split(":");
  const device = readDevice(hostPath, path);
  return device && { device, rule: allowDevice(device, access) };
}

/** Those of each device, and once those that all of its specification have. */
function findEdits(devices: readonly CdiDevice[]): CdiEdits[] {
  return [...new Set(devices.flatMap(({ commonEdits, edits }) => [commonEdits, edits]))];
}

function applyEdits({ env = [], deviceNodes = [], mounts = [], hooks = [] }: CdiEdits): FoundDevices {
  const nodes = deviceNodes.map((node) => {
    const read = readDevice(node.hostPath ?? node.path, node.path);
    const { type = read?.type, major = read?.major, minor = read?.minor } = node;
    if ((type !== "c" && type !== "b") || major === undefined || minor === undefined)
      throw missingDevice(node.hostPath ?? node.path);
    const device: ContainerDevice = {
      ...read,
      path: node.path,
      type,
      major,
      minor,
      ...(node.fileMode !== undefined && { fileMode: node.fileMode }),
      ...(node.uid !== undefined && { uid: node.uid }),
      ...(node.gid !== undefined && { gid: node.gid }),
    };
    return { device, rule: allowDevice(device, node.permissions || "rwm") };
  });
  return {
    devices: nodes.map(({ device }) => device),
    deviceRules: nodes.map(({ rule }) => rule),
    env,
    mounts: mounts.map(({ hostPath, containerPath, options = ["rbind", "ro"], type = "bind" }) => ({
      kind: isDirectory(hostPath) ? "directory" : "file",
      destination: containerPath,
      source: hostPath,
      type,
      options,
    })),
    hooks: mergeHooks(hooks.map(({ hookName, ...hook }) => ({ [hookName]: [hook] }))),
  };
}

function mergeHooks(all: readonly RuntimeHooks[]): RuntimeHooks {
  const merged: Record<string, RuntimeHooks[string]> = {};
  for (const hooks of all) {
    for (const [name, list] of Object.entries(hooks)) merged[name] = [...(merged[name] ?? []), ...list];
  }
  return merged;
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? true;
}

function missingDevice(name: string): BuildError {
  return new BuildError(
    "environment",
    `Cannot give the device "${name}": this machine has none of that name`,
  );
}

function refusedDevice(name: string): BuildError {
  return new BuildError("not-permitted", `Cannot give the device "${name}": the build does not allow it`, {
    hint: `Allow it with --allow device=${name}`,
  });
}
