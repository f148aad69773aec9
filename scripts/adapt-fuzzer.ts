import { readFileSync, writeFileSync } from "node:fs";

/** What the binary asks of the C and C++ libraries of Debian 13, and what those of Debian 12 have in its place. */
const VERSIONS: Readonly<Record<string, string>> = {
  "GLIBC_2.38": "GLIBC_2.2.5",
  "GLIBCXX_3.4.32": "GLIBCXX_3.4",
};
const SYMBOLS: Readonly<Record<string, string>> = {
  // C23 only adds binary numbers, which are not read here.
  __isoc23_strtol: "strtol",
  __isoc23_strtoul: "strtoul",
  // What starts the standard streams; the older one is a constructor that does not look at its object.
  _ZSt21ios_base_library_initv: "_ZNSt8ios_base4InitC1Ev",
};
const SHT_GNU_VERNEED = 0x6ffffffe;

/**
 * Makes the fuzzer's prebuilt binary at `path` run on glibc 2.36, by which it is loaded no longer than it names three symbols of 2.38: those
 * names become older ones, and no code is changed. Does nothing on other processors than x86-64, and where it has been done.
 */
export function adaptFuzzer(path: string): void {
  if (process.arch !== "x64") return;
  const elf = readFileSync(path);
  const { needed, texts } = findVersions(elf);
  const textAt = (offset: number) => elf.toString("latin1", texts + offset, elf.indexOf(0, texts + offset));
  const find = (text: string) => elf.indexOf(`\0${text}\0`, texts, "latin1") + 1 - texts;
  let isChanged = false;
  for (const at of needed) {
    const wanted = VERSIONS[textAt(elf.readUInt32LE(at + 8))];
    if (wanted === undefined) continue;
    elf.writeUInt32LE(hashName(wanted), at);
    elf.writeUInt32LE(find(wanted), at + 8);
    isChanged = true;
  }
  if (!isChanged) return;
  for (const [from, to] of Object.entries(SYMBOLS)) elf.write(`${to}\0`, texts + find(from), "latin1");
  writeFileSync(path, elf);
}

/** Where the versions that an ELF file needs stand (LSB 5.0, "Version Requirements"), and its names. */
function findVersions(elf: Buffer): { readonly needed: readonly number[]; readonly texts: number } {
  const [table, size, count] = [
    Number(elf.readBigUInt64LE(0x28)),
    elf.readUInt16LE(0x3a),
    elf.readUInt16LE(0x3c),
  ];
  const sectionAt = (number: number) => table + number * size;
  const offsetOf = (number: number) => Number(elf.readBigUInt64LE(sectionAt(number) + 0x18));
  const sections = Array.from({ length: count }, (_, number) => number);
  const versions = sections.find((number) => elf.readUInt32LE(sectionAt(number) + 4) === SHT_GNU_VERNEED);
  if (versions === undefined) throw new Error("the fuzzer's binary names no versions of its libraries");
  const needed: number[] = [];
  let at = offsetOf(versions);
  for (let files = elf.readUInt32LE(sectionAt(versions) + 0x2c); files > 0; files--) {
    let version = at + elf.readUInt32LE(at + 8);
    for (let left = elf.readUInt16LE(at + 2); left > 0; left--) {
      needed.push(version);
      version += elf.readUInt32LE(version + 12);
    }
    at += elf.readUInt32LE(at + 12);
  }
  return { needed, texts: offsetOf(elf.readUInt32LE(sectionAt(versions) + 0x28)) };
}

/** ELF's hash of a name (System V ABI, "Hash Table"). */
function hashName(name: string): number {
  let hash = 0;
  for (const byte of Buffer.from(name)) {
    hash = ((hash << 4) + byte) >>> 0;
    const high = hash & 0xf0000000;
    hash = (hash ^ (high >>> 24)) & ~high;
  }
  return hash >>> 0;
}
