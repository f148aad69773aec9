import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BuildError } from "../errors/build-error.ts";

/** Where vendors describe their devices (Container Device Interface 1.1); what stands later wins. */
const DIRECTORIES = ["/etc/cdi", "/var/run/cdi"];

const CLASS_ANNOTATION = "org.mobyproject.buildkit.device.class";
const AUTO_ALLOW_ANNOTATION = "org.mobyproject.buildkit.device.autoallow";

/** A device of the Container Device Interface. */
export interface CdiDevice {
  /** `vendor/class=name` */
  readonly name: string;
  readonly kind: string;
  /** A further name that it is found by in its kind. */
  readonly deviceClass?: string;
  /** Its vendor says that it needs no permission. */
  readonly isAutoAllowed: boolean;
  readonly edits: CdiEdits;
  /** Of all devices of its specification. */
  readonly commonEdits: CdiEdits;
}

/** `containerEdits`, as far as they are applied. */
export interface CdiEdits {
  readonly env?: readonly string[];
  readonly deviceNodes?: readonly {
    readonly path: string;
    readonly hostPath?: string;
    readonly type?: string;
    readonly major?: number;
    readonly minor?: number;
    readonly fileMode?: number;
    readonly permissions?: string;
    readonly uid?: number;
    readonly gid?: number;
  }[];
  readonly mounts?: readonly {
    readonly hostPath: string;
    readonly containerPath: string;
    readonly type?: string;
    readonly options?: readonly string[];
  }[];
  readonly hooks?: readonly {
    readonly hookName: string;
    readonly path: string;
    readonly args?: readonly string[];
    readonly env?: readonly string[];
    readonly timeout?: number;
  }[];
}

interface Specification {
  readonly kind: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly containerEdits?: CdiEdits;
  readonly devices: readonly {
    readonly name: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly containerEdits?: CdiEdits;
  }[];
}

/**
 * The devices that the specifications (`*.json`, `*.yaml`) in these directories describe, sorted by name.
 *
 * @throws BuildError `environment` for a specification that cannot be read.
 */
export async function readCdiDevices(directories: readonly string[] = DIRECTORIES): Promise<CdiDevice[]> {
  const devices = new Map<string, CdiDevice>();
  for (const directory of directories.filter((path) => existsSync(path))) {
    for (const file of readdirSync(directory).sort()) {
      if (!/\.(json|yaml)$/.test(file)) continue;
      for (const device of await readSpecification(join(directory, file))) devices.set(device.name, device);
    }
  }
  return [...devices.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Those that a name means: one, all (`*`), the first of a kind (no name), or all of a class. */
export function findCdiDevices(devices: readonly CdiDevice[], wanted: string): CdiDevice[] {
  const [kind, name] = wanted.split(/=(.*)/s);
  const ofKind = devices.filter((device) => device.kind === kind);
  if (name === undefined || name === "") return ofKind.slice(0, 1);
  if (name === "*") return ofKind;
  const named = ofKind.filter((device) => device.name === wanted);
  return named.length > 0 ? named : ofKind.filter(({ deviceClass }) => deviceClass === name);
}

async function readSpecification(path: string): Promise<CdiDevice[]> {
  try {
    const {
      kind,
      annotations,
      containerEdits = {},
      devices,
    } = (await parseSpecification(path)) as Specification;
    return devices.map((device) => {
      const notes = { ...annotations, ...device.annotations };
      return {
        name: `${kind}=${device.name}`,
        kind,
        deviceClass: notes[CLASS_ANNOTATION],
        isAutoAllowed: /^(1|t|true)$/i.test(notes[AUTO_ALLOW_ANNOTATION] ?? ""),
        edits: device.containerEdits ?? {},
        commonEdits: containerEdits,
      };
    });
  } catch (error) {
    throw new BuildError("environment", `Cannot read the devices of "${path}": ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function parseSpecification(path: string): Promise<unknown> {
  const text = readFileSync(path, "utf8");
  if (path.endsWith(".json")) return JSON.parse(text);
  const { parse } = (await import("yaml")).default;
  return parse(text);
}
