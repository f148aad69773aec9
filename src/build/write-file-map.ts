import { BuildError } from "../errors/build-error.ts";
import { tarPadding } from "../rootfs/tar-header.ts";
import { encodeTarMember, TAR_END } from "../rootfs/tar-writer.ts";

/** Files by their paths in the context, `/` between names. Text is UTF-8. */
export type FileMap = Readonly<Record<string, string | Uint8Array>>;

const COMMON = {
  linkName: "",
  uid: 0,
  gid: 0,
  mtime: 0,
  mtimeNs: 0,
  deviceMajor: 0,
  deviceMinor: 0,
} as const;

/**
 * The files as a tar, which is a build context: mode 0644, directories 0755, of 1970.
 *
 * @throws BuildError `context` for a path that leaves the context.
 */
export async function* writeFileMap(files: FileMap): AsyncGenerator<Uint8Array> {
  // An empty tar could not be told from other zeros.
  yield encodeTarMember({ ...COMMON, name: ".", type: "directory", mode: 0o755, size: 0 });
  const directories = new Set<string>();
  for (const [path, content] of Object.entries(files)) {
    const names = path.split("/");
    if (names.some((name) => name === "" || name === "." || name === "..") || path.includes("\0")) {
      throw new BuildError(
        "context",
        `Cannot use "${path}" as a file of the context: it is no relative path`,
      );
    }
    for (let depth = 1; depth < names.length; depth++) {
      const directory = names.slice(0, depth).join("/");
      if (directories.has(directory)) continue;
      directories.add(directory);
      yield encodeTarMember({ ...COMMON, name: directory, type: "directory", mode: 0o755, size: 0 });
    }
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    yield encodeTarMember({ ...COMMON, name: path, type: "file", mode: 0o644, size: bytes.length });
    yield bytes;
    yield Buffer.alloc(tarPadding(bytes.length));
  }
  yield TAR_END;
}
