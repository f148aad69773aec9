import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";

/** Puts the busybox of `packages` (an unpacked busybox-static) into `root`, with a link for each of its programs. */
export function installBusybox(packages: string, root: string): void {
  const busybox = join(packages, "bin/busybox");
  mkdirSync(join(root, "bin"), { recursive: true });
  copyFileSync(busybox, join(root, "bin/busybox"));
  for (const path of execFileSync(busybox, ["--list-full"], { encoding: "utf8" }).split("\n")) {
    if (path === "" || existsSync(join(root, path))) continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    symlinkSync("/bin/busybox", join(root, path));
  }
}
