import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { loadLibc } from "../rootfs/libc.ts";
import type { RuntimeProgram } from "./holder-protocol.ts";

/**
 * So that no container can write to the runtime's program (CVE-2019-5736), crun copies itself for each one into a file in memory that
 * nobody can write to, and starts anew from there. Started from such a file it need not: here is one for all containers. It lives
 * as long as this process.
 */
export function sealRuntime(runtime: RuntimeProgram): RuntimeProgram {
  if (runtime.name !== "crun") return runtime;
  try {
    const libc = loadLibc();
    const fd = libc.memfd(runtime.name);
    writeFileSync(fd, readFileSync(runtime.path));
    libc.sealMemfd(fd);
    const path = `/proc/${process.pid}/fd/${fd}`;
    // A machine may forbid to run what lies in memory (vm.memfd_noexec).
    accessSync(path, constants.X_OK);
    return { ...runtime, path };
  } catch {
    return runtime;
  }
}
