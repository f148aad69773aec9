import { execFileSync, execSync } from "node:child_process";
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyFiles, writeFiles } from "./copy-files.ts";
import { readVersions } from "./unpack-debian-packages.ts";

interface ApkPackage {
  readonly name: string;
  readonly version: string;
  readonly sizeKiB?: number;
  /** File name in the repository; absent when the package is only its dependencies. */
  readonly archive?: string;
  readonly dependencies?: readonly string[];
}

/** glibc and the C++ library: what programs that g++ linked need to run. */
const RUNTIME = [
  "lib64/ld-linux-*",
  "lib/*-linux-gnu*/ld-linux-*",
  "lib/*-linux-gnu*/lib{c,m,dl,rt,pthread,resolv,gcc_s}.so.*",
  "usr/lib/*-linux-gnu*/libstdc++.so.*",
];

/** The compiler, without what only sanitizers, link-time optimisation, profiling and Fortran's mathematics need. */
const COMPILER = [
  "usr/bin/{gcc,g++,cc,c++,as,ld,ar,ranlib,strip,nm}",
  "usr/bin/{gcc,g++}-[0-9]*",
  "usr/bin/*-linux-gnu*-{gcc,g++}-[0-9]*",
  "usr/bin/*-linux-gnu*-{gcc,g++,as,ld,ld.bfd,ar,ranlib,strip,nm}",
  "usr/lib/gcc/*/*/{cc1,cc1plus,collect2,liblto_plugin.so,include,*.o,libgcc*,libstdc++.*,libsupc++.a}",
  "usr/lib/*-linux-gnu*/{*crt*.o,ldscripts,lib{c,m,g,dl,rt,pthread,resolv,util}.{a,so}}",
  "usr/lib/*-linux-gnu*/{libm-*.a,libmvec*,libc_nonshared.a,libpthread_nonshared.a}",
  "usr/lib/*-linux-gnu*/lib{bfd,opcodes}-*.so",
  "usr/lib/*-linux-gnu*/lib{isl,mpc,mpfr,gmp,z,zstd,ctf,ctf-nobfd,jansson,sframe}.so.*",
  "lib/*-linux-gnu*/lib{mvec,z}.so.*",
  "usr/include/{*.h,c++,linux,asm-generic,arpa,bits,gnu,net,netinet,protocols,rpc,sys,*-linux-gnu*}",
];

const CERTIFICATES = "etc/ssl/certs/ca-certificates.crt";

/**
 * Makes the repository of the stand-in `apk` in `directory`: archives and their `INDEX`. `base` are packages that the
 * image has already.
 */
export function makeApkRepository(packages: string, directory: string, base: readonly ApkPackage[]): void {
  mkdirSync(directory, { recursive: true });
  const versions = readVersions(packages);
  const version = (name: string) => versions.get(name) ?? "0";
  const list = (patterns: readonly string[]) => globSync(patterns, { cwd: packages });

  const work = mkdtempSync(join(tmpdir(), "slipway-apk-"));
  try {
    const pack = (archive: string, source: string, paths: readonly string[]) => ({
      archive,
      sizeKiB: packFiles(source, paths, join(directory, archive)),
    });
    const authorities = list(["usr/share/ca-certificates/mozilla/*.crt"]).sort();
    writeFiles(work, {
      [CERTIFICATES]: authorities.map((path) => readFileSync(join(packages, path), "utf8")).join(""),
    });
    const gcc = version("gcc-12");
    const index: ApkPackage[] = [
      ...base,
      {
        name: "ca-certificates",
        version: version("ca-certificates"),
        ...pack("ca-certificates.tar.xz", work, [CERTIFICATES]),
      },
      { name: "libstdc++", version: gcc, ...pack("libstdc++.tar.xz", packages, list(RUNTIME)) },
      { name: "libgcc", version: gcc, dependencies: ["libstdc++"] },
      {
        name: "make",
        version: version("make"),
        ...pack("make.tar.xz", packages, ["usr/bin/make"]),
        dependencies: ["libstdc++"],
      },
      // One archive for C and C++: the two compilers are nearly the same bytes, and xz sees that.
      {
        name: "gcc",
        version: gcc,
        ...pack("gcc.tar.xz", packages, list(COMPILER)),
        dependencies: ["libstdc++"],
      },
      { name: "g++", version: gcc, dependencies: ["gcc"] },
      { name: "binutils", version: version("binutils"), dependencies: ["gcc"] },
      { name: "musl-dev", version: version("libc6-dev"), dependencies: ["gcc"] },
      { name: "libc-dev", version: version("libc6-dev"), dependencies: ["musl-dev"] },
      { name: "build-base", version: "0.5", dependencies: ["binutils", "g++", "gcc", "libc-dev", "make"] },
    ];
    writeFiles(directory, { INDEX: `${index.map(writeIndexLine).join("\n")}\n` });
  } finally {
    rmSync(work, { recursive: true });
  }
}

function writeIndexLine({ name, version, archive, sizeKiB, dependencies }: ApkPackage): string {
  return [name, version, archive ?? "-", sizeKiB ?? 0, (dependencies ?? []).join(" ")].join("|");
}

/** Packs `paths` of `source` as root's files into a .tar.xz that busybox can read; returns their size in KiB. */
function packFiles(source: string, paths: readonly string[], archive: string): number {
  if (paths.length === 0) throw new Error(`The Debian packages have no file for ${archive}`);
  const work = mkdtempSync(join(tmpdir(), "slipway-apk-"));
  try {
    copyFiles(paths, source, work);
    const tar = "tar -c --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000";
    // The dictionary spans both compilers; the fast preset keeps the waiting at ten seconds.
    execSync(`${tar} $(ls -A) | xz --lzma2=preset=1,dict=64MiB > "${archive}"`, { cwd: work });
    return Number.parseInt(execFileSync("du", ["-sk", "--apparent-size", work], { encoding: "utf8" }), 10);
  } finally {
    rmSync(work, { recursive: true });
  }
}
