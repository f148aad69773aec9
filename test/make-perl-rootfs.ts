import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";

const PERL = "/usr/bin/perl";

/** For `{ skip: perlMissing }`: the program that makes any system call a one-liner; every Debian has it. */
export const perlMissing: string | false =
  (!existsSync(PERL) && "needs perl") || (!existsSync("/bin/busybox") && "needs busybox-static");

/** A root file system of busybox and perl with its libraries, and `files` (name to path here) in its root directory; returns a tar. */
export function makePerlRootfs(directory: string, files: Readonly<Record<string, string>>): string {
  const root = join(directory, "perl-rootfs");
  for (const name of ["bin", "usr/bin", "tmp", "proc", "sys", "dev", "etc"])
    mkdirSync(join(root, name), { recursive: true });
  copyFileSync("/bin/busybox", join(root, "bin/busybox"));
  for (const name of ["sh", "uname"]) symlinkSync("busybox", join(root, "bin", name));
  const libraries = execFileSync("ldd", [PERL], { encoding: "utf8" }).match(/\/\S+/g) ?? [];
  const modules = ["Errno.pm", "Config.pm", "strict.pm", "warnings.pm", "Exporter.pm", "Tie/Hash.pm"];
  const found = execFileSync(
    PERL,
    [
      "-e",
      'for my $m (@ARGV) { for (@INC) { print("$_/$m\\n"), last if -e "$_/$m" } }',
      ...modules,
      "warnings/register.pm",
      "Carp.pm",
      "overload.pm",
      "overloading.pm",
    ],
    { encoding: "utf8" },
  ).split("\n");
  for (const path of [PERL, ...libraries, ...found.filter((line) => line !== "")]) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    copyFileSync(path, join(root, path));
  }
  for (const [name, path] of Object.entries(files)) copyFileSync(path, join(root, name));
  const tar = join(directory, "perl-rootfs.tar");
  execFileSync("tar", ["--numeric-owner", "--owner=0", "--group=0", "-C", root, "-cf", tar, "."]);
  return tar;
}
