import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What the stand-ins need, and what those packages depend on. */
const PACKAGES = [
  "busybox-static",
  "ca-certificates",
  "golang-go",
  "golang-golang-x-net-dev",
  "g++",
  "make",
  "nginx-common",
];

/** GNU tar patterns (`*` matches slashes too) of what no stand-in has a use for: about half of the bytes. */
const LEFT_OUT = [
  "./dev",
  "./usr/share/doc",
  "./usr/share/man",
  "./usr/share/locale",
  "./usr/share/lintian",
  "*/gconv",
  // Go: its own compiler's sources and objects, its tests.
  "./usr/lib/go-*/pkg/linux_*/cmd",
  "./usr/share/go-*/src/cmd",
  "./usr/share/go-*/test",
  "./usr/share/go-*/api",
  "./usr/share/go-*/misc",
  "*/testdata",
  "*_test.go",
];

/** File names of the packages, `NAME_VERSION_ARCHITECTURE.deb`, one a line. */
const ARCHIVE_LIST = "package-archives";
const LIST_ARCHIVES = `ls "$1/var/cache/apt/archives" > "$1/${ARCHIVE_LIST}"`;

const SUITE = "bookworm";
const SOURCES = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];

/** Downloads the packages with mmdebstrap and unpacks all of them into `directory`: no maintainer script runs. */
export async function unpackDebianPackages(directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const args = ["--variant=extract", `--include=${PACKAGES.join(",")}`, "--format=tar"];
  args.push(`--extract-hook=${LIST_ARCHIVES}`);
  for (const option of listAptProxies()) args.push(`--aptopt=${option}`);
  // By way of a tar, so that an ordinary user gets files of his own, not of a subordinate id.
  const maker = spawn("mmdebstrap", [...args, SUITE, "-", ...findSources()], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  maker.stderr.on("data", (chunk) => {
    log += chunk;
  });
  const excludes = LEFT_OUT.map((pattern) => `--exclude=${pattern}`);
  const unpacker = spawn("tar", ["-x", "-p", "--no-same-owner", ...excludes, "-C", directory], {
    stdio: [maker.stdout, "inherit", "inherit"],
  });
  // The pipe is between the two of them now.
  maker.stdout.destroy();
  const codes = await Promise.all([waitForExit(maker), waitForExit(unpacker)]);
  if (codes.some((code) => code !== 0)) {
    throw new Error(`mmdebstrap cannot make the stand-ins' files:\n${log}`);
  }
}

/** Package names to versions, of what `unpackDebianPackages` put into `directory`. */
export function readVersions(directory: string): Map<string, string> {
  const versions = new Map<string, string>();
  for (const line of readFileSync(join(directory, ARCHIVE_LIST), "utf8").split("\n")) {
    const [name, version] = line.split("_");
    if (version) versions.set(name!, decodeURIComponent(version));
  }
  return versions;
}

/** The host's own sources, mirror and all, where the host is of the same release; else mmdebstrap's default mirror. */
function findSources(): string[] {
  const path = SOURCES.find(
    (path) => existsSync(path) && /^(?:deb\s|Types:)/m.test(readFileSync(path, "utf8")),
  );
  return path && readFileSync(path, "utf8").includes(SUITE) ? [path] : [];
}

/** mmdebstrap does not read the host's apt configuration, which may be where the proxy is named. */
function listAptProxies(): string[] {
  const dump = execFileSync("apt-config", ["dump"], { encoding: "utf8" });
  return dump.split("\n").filter((line) => /^Acquire::https?::Proxy/i.test(line));
}

function waitForExit(child: ReturnType<typeof spawn>): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
}
