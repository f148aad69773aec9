import { tarChecksum, tarPadding } from "../src/rootfs/tar-header.ts";

interface RawMember {
  /** The typeflag: `0` for a file, `x` for a pax header, `L` for GNU's long name. */
  readonly type: string;
  readonly name?: string;
  readonly linkName?: string;
  readonly content?: string | Uint8Array;
  /** What the header says, where it is not the size of the content. */
  readonly size?: number;
}

/** One ustar header (POSIX.1-2001) with any type and any size, right or wrong, and what follows it up to a whole block. */
export function rawMember({ type, name = "x", linkName = "", content = "", size }: RawMember): Buffer {
  const bytes = Buffer.from(content as string);
  const header = Buffer.alloc(512);
  header.write(name, 0, "latin1");
  header.write(linkName, 157, "latin1");
  for (const [offset, text] of [
    [100, "0000644\0"],
    [108, "0000000\0"],
    [116, "0000000\0"],
    [124, `${(size ?? bytes.length).toString(8).padStart(11, "0")}\0`],
    [136, "00000001750\0"],
    [257, "ustar\x0000"],
  ] as const) {
    header.write(text, offset, "latin1");
  }
  header.write(type, 156);
  header.write(`${tarChecksum(header).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return Buffer.concat([header, bytes, Buffer.alloc(tarPadding(bytes.length))]);
}

/** A record of a pax header, whose length counts its own digits. */
export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length++;
  return `${length}${rest}`;
}
