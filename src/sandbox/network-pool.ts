import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DNS_FORWARD_ADDRESS, needsDnsForward } from "./resolv-conf.ts";

/** The exit code of a shell that could not make a namespace. */
const NO_NAMESPACE = 125;

/** A network namespace with a way out, for one command at a time. */
export interface LentNetwork {
  /** A file that is bound to the namespace. */
  readonly path: string;
  giveBack(): void;
}

export interface NetworkPool {
  /** Makes one for the first who asks, while something else is done. */
  prepare(): void;
  /** Undefined when the machine itself has no way out: nothing but a loopback is to be had. */
  lend(): Promise<LentNetwork | undefined>;
}

/**
 * Network namespaces whose traffic pasta carries, each for one command after the other, the first one ready before it is needed: starting one takes longer
 * than most commands. Neither the host's loopback nor its abstract sockets can be reached from them. For the holder alone: pasta lives
 * in its pid namespace and ends with it.
 */
export function makeNetworkPool(pastaPath: string, directory: string): NetworkPool {
  const idle: Promise<string | undefined>[] = [];
  let count = 0;
  const make = (): Promise<string | undefined> => {
    const ready = makeNetwork(pastaPath, join(directory, `net-${count++}`));
    // Whoever it is lent to is told of the failure.
    ready.catch(() => {});
    return ready;
  };
  return {
    prepare() {
      if (count === 0) idle.push(make());
    },
    async lend() {
      const path = await (idle.shift() ?? make());
      const giveBack = () => idle.push(Promise.resolve(path));
      if (path !== undefined) return { path, giveBack };
      giveBack();
      return undefined;
    },
  };
}

/** One shell for both programs: to fork a process as big as the holder takes milliseconds. */
const MAKE_NETWORK = `unshare --net="$0" true || exit ${NO_NAMESPACE}; exec "$@"`;

async function makeNetwork(pastaPath: string, path: string): Promise<string | undefined> {
  writeFileSync(path, "");
  const pasta = [
    pastaPath,
    // It ends in the background once the namespace is set up.
    ...["--netns", path, "--config-net", "--quiet", "--runas", "0"],
    // Neither the gateway's address nor any port leads to the host.
    ...["--no-map-gw", "-t", "none", "-u", "none", "-T", "none", "-U", "none"],
    ...(needsDnsForward() ? ["--dns-forward", DNS_FORWARD_ADDRESS] : []),
  ];
  const { code, complaint } = await runProgram("/bin/sh", ["-c", MAKE_NETWORK, path, ...pasta]);
  if (code === 0) return path;
  // pasta takes addresses and routes from the interface of the default route.
  if (code !== NO_NAMESPACE && !hasDefaultRoute()) return undefined;
  throw new Error(`cannot make a network for the command: ${complaint || `pasta ended with ${code}`}`);
}

/** Of IPv4 or IPv6, as the files in /proc/net of proc(5) have them; that of IPv6 lists rejected ones too, on the loopback. */
function hasDefaultRoute(): boolean {
  const rows = (name: string) =>
    // Absent where the kernel has no such protocol.
    (existsSync(`/proc/net/${name}`) ? readFileSync(`/proc/net/${name}`, "latin1").split("\n") : []).map(
      (line) => line.trim().split(/\s+/),
    );
  return (
    rows("route").some(
      ([, destination, , , , , , mask]) => destination === "00000000" && mask === "00000000",
    ) || rows("ipv6_route").some((row) => /^0+$/.test(row[0]!) && row[1] === "00" && row.at(-1) !== "lo")
  );
}

async function runProgram(
  program: string,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly complaint: string }> {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  const [code] = (await once(child, "exit")) as [number | null];
  return { code, complaint: complaint.trim() };
}
