import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadLibc } from "../rootfs/libc.ts";
import { bindMount } from "./mount.ts";
import type { LentNetwork } from "./network-pool.ts";

/** Of `unshare` and `setns`. */
const CLONE_NEWNET = 0x40000000;
const OWN_NAMESPACE = "/proc/thread-self/ns/net";

/** Network namespaces with nothing but a loopback, each for one command after the other. */
export interface LoopbackPool {
  /** Undefined when none is ready: then the runtime makes one, and the next command finds one here. */
  lend(): LentNetwork | undefined;
}

/**
 * For the kernel to make a network namespace takes a millisecond, and its end as much of another processor. One whose command left anything of a connection
 * (a port stays taken for a minute) is not lent again. For the holder alone, whose namespaces those files are in.
 */
export function makeLoopbackPool(directory: string): LoopbackPool {
  const idle: string[] = [];
  let count = 0;
  let isPossible = true;
  const prepare = () => {
    if (idle.length > 0 || !isPossible) return;
    try {
      idle.push(makeLoopback(join(directory, `lo-${count++}`)));
    } catch {
      // Without the right to come back from another namespace: the runtime makes each.
      isPossible = false;
    }
  };
  return {
    lend() {
      const path = idle.pop();
      if (path === undefined) {
        setImmediate(prepare);
        return undefined;
      }
      const giveBack = () => {
        if (isUnused(path)) idle.push(path);
      };
      return { path, giveBack };
    },
  };
}

function makeLoopback(path: string): string {
  const libc = loadLibc();
  writeFileSync(path, "");
  return inNamespace(
    () => libc.unshare(CLONE_NEWNET),
    () => {
      libc.bringUp("lo");
      bindMount(OWN_NAMESPACE, path);
      return path;
    },
  );
}

function isUnused(path: string): boolean {
  const fd = openSync(path, "r");
  try {
    return inNamespace(() => loadLibc().setns(fd, CLONE_NEWNET), hasNoConnection);
  } catch {
    return false;
  } finally {
    closeSync(fd);
  }
}

/** By proc_net_sockstat of the kernel: those in use, and what waits for its time to be over (of IPv6, too). */
function hasNoConnection(): boolean {
  const read = (name: string) => {
    const path = `/proc/thread-self/net/${name}`;
    return existsSync(path) ? readFileSync(path, "latin1") : "";
  };
  return (
    /^TCP: inuse 0 orphan \d+ tw 0 /m.test(read("sockstat")) && !/^TCP6: inuse [1-9]/m.test(read("sockstat6"))
  );
}

/** Does `work`, which waits for nothing, in the network namespace that `enter` leads to: this thread is elsewhere as long, the others never. */
function inNamespace<Result>(enter: () => void, work: () => Result): Result {
  const libc = loadLibc();
  const own = openSync(OWN_NAMESPACE, "r");
  try {
    // Fails where there would be no way back.
    libc.setns(own, CLONE_NEWNET);
    enter();
    try {
      return work();
    } finally {
      libc.setns(own, CLONE_NEWNET);
    }
  } finally {
    closeSync(own);
  }
}
