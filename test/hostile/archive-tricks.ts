import type { MemberLike } from "../make-layers.ts";
import type { Canary } from "./canary.ts";

/** A way out of the directory that an archive is unpacked into, which a peer has left open. */
export interface ArchiveTrick {
  /** As docs/security.md lists them. */
  readonly advisories: readonly string[];
  readonly what: string;
  /** `target.directory` and `target.file` are what the members try to reach. */
  members(target: Canary): readonly MemberLike[];
}

const symlink = (name: string, linkName: string): MemberLike => ({
  name,
  type: "symlink",
  linkName,
  mode: 0o777,
});
const hardlink = (name: string, linkName: string): MemberLike => ({ name, type: "hardlink", linkName });
const file = (name: string): MemberLike => ({ name, content: "planted", mode: 0o6777 });
const directory = (name: string): MemberLike => ({ name: `${name}/`, mode: 0o777 });
/** More steps up than any directory is deep. */
const UP = "../".repeat(40);
/** The same word in the two forms that Unicode has for it, one char a byte. */
const [COMPOSED, DECOMPOSED] = ["café".normalize("NFC"), "café".normalize("NFD")].map((name) =>
  Buffer.from(name).toString("latin1"),
) as [string, string];

export const ARCHIVE_TRICKS: readonly ArchiveTrick[] = [
  {
    advisories: ["CVE-2014-9356", "CVE-2026-42574"],
    what: "a symlink, and then a file through it",
    members: ({ directory }) => [symlink("l", directory), file("l/planted"), file("l/secret")],
  },
  {
    advisories: ["CVE-2014-6407"],
    what: "a hard link to a file of the host, and then new content for it",
    members: (target) => [hardlink("h", target.file), file("h")],
  },
  {
    advisories: ["CVE-2026-28406"],
    what: "members that begin with .. or with a slash",
    members: (target) => [
      file(`${UP}${target.directory}/planted`),
      file(target.file),
      file(`x/${UP}${target.file}`),
      hardlink("up", UP + target.file),
    ],
  },
  {
    advisories: ["CVE-2021-29136"],
    what: "a symlink in the place of the root",
    members: ({ directory }) => [
      symlink("./", directory),
      file("planted"),
      symlink(".", directory),
      file("secret"),
    ],
  },
  {
    advisories: ["CVE-2021-32803"],
    what: "a directory that becomes a symlink before something is put into it",
    members: (target) => [
      directory("d"),
      symlink("d", target.directory),
      file("d/planted"),
      file("d/secret"),
    ],
  },
  {
    advisories: ["CVE-2021-37701"],
    what: "the same with a backslash in the names",
    members: (target) => [
      directory("a\\x"),
      symlink("a\\x", target.directory),
      file("a\\x/planted"),
      file("a/x/planted"),
    ],
  },
  {
    advisories: ["CVE-2021-37712", "CVE-2026-23950"],
    what: "the same with two names that some file systems take for one",
    members: (target) => [
      directory(COMPOSED),
      symlink(DECOMPOSED, target.directory),
      file(`${COMPOSED}/planted`),
    ],
  },
  {
    advisories: ["CVE-2026-23745", "CVE-2026-24842"],
    what: "links with absolute targets, and then files in their place",
    members: (target) => [symlink("s", target.file), file("s"), hardlink("h", target.file), file("h")],
  },
  {
    advisories: ["CVE-2026-26960", "CVE-2026-85731"],
    what: "a chain of symlinks each of which looks harmless, with a hard link or a file behind it",
    members: (target) => [
      directory("a/b/c"),
      symlink("a/b/c/up", "../.."),
      symlink("a/b/escape", "c/up/../.."),
      symlink("far", `a/b/escape/${"../".repeat(30)}`),
      hardlink("exfil", `a/b/escape/..${target.file}`),
      hardlink("exfil2", `far${target.file}`),
      file(`far${target.directory}/planted`),
    ],
  },
  {
    advisories: ["CVE-2021-32760"],
    what: "a hard link to a symlink, whose mode would be set through it",
    members: (target) => [symlink("s", target.file), { ...hardlink("h", "s"), mode: 0o7777, uid: 4711 }],
  },
  {
    advisories: ["CVE-2025-47290"],
    what: "the same path again and again, as a directory, a link, a file and a device",
    members: (target) => [
      directory("d"),
      file("d/secret"),
      symlink("d", target.directory),
      directory("d"),
      file("d/secret"),
      symlink("d/e", target.directory),
      { name: "d", type: "char", deviceMajor: 1, deviceMinor: 1 },
      symlink("d", target.directory),
      file("d/planted"),
    ],
  },
  {
    advisories: ["GHSA-49p4-px3h-rq49"],
    what: "symlinks to the host as directories and files that are copied on",
    members: (target) => [
      symlink("dir", target.directory),
      symlink("secret", target.file),
      symlink("root", "/"),
    ],
  },
];
