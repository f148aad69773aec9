import { execFileSync, spawnSync } from "node:child_process";

/**
 * Installs the Debian packages that are missing; does nothing, and asks no mirror, when all are there. Only `npm run demo`
 * and `npm test` call it. Without root or without apt it prints the line to run instead and ends the process with status 1.
 */
export function installPackages(names: readonly string[]): void {
  const missing = findMissingPackages(names);
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0 || !canRun("apt-get")) {
    console.error(
      `These Debian packages are missing: ${missing.join(" ")}. As root, run this, then try again:\n`,
    );
    console.error(`  ${writeInstallLine(missing)}\n`);
    process.exit(1);
  }
  console.error(`Installing Debian packages: ${missing.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  // Output to stderr: stdout belongs to the script that called.
  const stdio: ["ignore", number, "inherit"] = ["ignore", 2, "inherit"];
  try {
    execFileSync("apt-get", ["update", "-qq"], { env, stdio });
    execFileSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...missing], { env, stdio });
  } catch {
    console.error(`\napt-get could not install them. To see why, run:\n\n  ${writeInstallLine(missing)}\n`);
    process.exit(1);
  }
}

/** Those of `names` that dpkg does not know as installed: all of them where there is no dpkg. */
export function findMissingPackages(names: readonly string[]): string[] {
  const format = "${binary:Package} ${db:Status-Status}\\n";
  // Ends with 1 when it does not know one of the names, and still prints the others.
  const { stdout } = spawnSync("dpkg-query", ["-W", "-f", format, ...names], { encoding: "utf8" });
  const installed = new Set<string>();
  for (const line of (stdout ?? "").split("\n")) {
    const [name, status] = line.split(" ");
    // `libc6:amd64`: multi-arch packages carry their architecture.
    if (name && status === "installed") installed.add(name.split(":")[0]!);
  }
  return names.filter((name) => !installed.has(name));
}

function writeInstallLine(names: readonly string[]): string {
  return `apt-get update && apt-get install -y --no-install-recommends ${names.join(" ")}`;
}

function canRun(program: string): boolean {
  return spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0;
}
