import assert from "node:assert/strict";
import { runCommand } from "./slipway.ts";

/** Names only what differs: the lists are long. */
export function assertSameFiles(found: readonly string[], expected: readonly string[]): void {
  const missing = expected.filter((line) => !found.includes(line));
  const extra = found.filter((line) => !expected.includes(line));
  assert.deepEqual({ missing, extra }, { missing: [], extra: [] });
}

const HASH = 'printf "%s has %s" "$TAR_FILENAME" "$(sha256sum)" | base64 -w0; echo';

/** What GNU tar reads: ` path ...` with type, mode, owner, size, time and link; attributes; the hash of each file. Sorted. */
export async function listTar(path: string): Promise<string[]> {
  const read = async (args: readonly string[]) => {
    const { code, stdout, stderr } = await runCommand("tar", [...args, path], {
      env: { LC_ALL: "C", TZ: "UTC" },
    });
    assert.equal(code, 0, stderr);
    return stdout.split("\n").filter((line) => line !== "");
  };
  // Not --utc: with it GNU tar 1.34 lists no attributes.
  const form = ["--quoting-style=escape", "--numeric-owner", "--full-time"];
  const lines: string[] = [];
  let name = "";
  for (const line of await read([...form, "--xattrs", "--xattrs-include=*", "-tvvf"])) {
    const xattr = /^\s+x:\s*(\d+) (.*)$/.exec(line);
    const member = /^(\S+?)\*?\s+(\S+)\s+(\S+) (\S+ \S+) (.*)$/.exec(line);
    if (xattr !== null) lines.push(` ${name} has ${xattr[2]} of ${xattr[1]} bytes`);
    else if (member !== null) {
      name = withoutDot(member[5]!);
      lines.push(` ${name} ${member.slice(1, 5).join(" ")}`);
    }
  }
  for (const hash of await read(["--to-command", HASH, "-xf"])) {
    lines.push(` ${withoutDot(Buffer.from(hash, "base64").toString("latin1"))}`);
  }
  return lines.filter((line) => !line.startsWith("  d")).sort();
}

function withoutDot(name: string): string {
  return name.replace(/^\.\//, "");
}
