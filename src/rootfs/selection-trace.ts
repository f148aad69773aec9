import { createHash, randomBytes } from "node:crypto";
import { type BigIntStats, closeSync, openSync, readSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { Digest } from "../oci/digest.ts";
import { isSettled } from "../store/file-digests.ts";
import { keepSelection, useSelection } from "../store/known-selections.ts";
import { workerEntry } from "../threads/thread-pool.ts";
import type { SelectCopyRequest } from "./copy-request.ts";
import type { DiskEntry } from "./disk-entry.ts";
import type { RootfsPath } from "./entry.ts";
import { type PlainSelection, type SelectOptions, selectCopy } from "./select-copy.ts";
import { type Looker, openLooker, STAMP_BYTES, writeStamp } from "./trace-stamp.ts";

/*
 * What a selection depends on is its request and what it saw: of each path its stats, or that it is not there. Names in a directory, what
 * a file holds, a link's target, owners, modes and attributes all change the ctime. So the same stats mean the same selection, for any
 * ignore file and wildcard; as in `file-digests.ts`, where no stamp was younger than a tick of the clock.
 *
 * A look is u32 length of the path (little-endian), the path, NUL, u8 whether it is there, and if so its stamp (`trace-stamp.ts`).
 */

const LENGTH_BYTES = 4;
/** What is compared at a stretch: a few milliseconds. */
const PIECE_BYTES = 128 << 10;
/** Some ten thousand looks. */
const LONG_PIECES = 6;

/** These are compared first, and once more in their turn: what changed last is likely to change next. */
const YOUNGEST_MAX = 256;

/** What a selection is known by, once it has been made. */
export interface TraceKey {
  readonly key: Uint8Array;
  /** Where all that it looks at lies. */
  readonly directory: string;
  readonly databasePath: string;
}

/** Undefined where more than one directory, or something else than one, is copied from. `code` is made anew with whatever selects. */
export function traceKeyOf(request: SelectCopyRequest, code = workerEntry()): TraceKey | undefined {
  const { temporaryDirectory: _, fileDigestsPath: databasePath, ...rest } = request;
  const directories = new Set(
    request.sources
      .filter(({ kind }) => kind !== "inline")
      .map((source) =>
        source.kind === "path" && source.tree.kind === "directory" ? source.tree.directory : undefined,
      ),
  );
  const [directory, second] = directories;
  if (databasePath === undefined || directory === undefined || second !== undefined) return undefined;
  const { size, mtimeMs } = statSync(code);
  const key = createHash("sha256")
    .update(JSON.stringify([size, mtimeMs, rest]))
    .digest();
  return { key, directory, databasePath };
}

/** Selects, and keeps what it saw for `recallSelection`, unless something had changed a moment before it was looked at. */
export function selectTraced(
  request: SelectCopyRequest,
  options: SelectOptions,
  traceKey: TraceKey | undefined,
): PlainSelection {
  if (traceKey === undefined) return selectCopy(request, options);
  using trace = new TraceWriter(request.temporaryDirectory);
  const onLook = (path: RootfsPath, found: DiskEntry | undefined) => {
    trace.look(path, found?.stats);
    options.onLook?.(path, found);
  };
  const selection = selectCopy(request, { ...options, onLook });
  trace.keep(traceKey, selection.contentDigest);
  return selection;
}

/** The content digest of a selection that is known, when nothing of what it depends on has changed since. Lets others have their turn. */
export async function recallSelection(
  request: SelectCopyRequest,
  signal?: AbortSignal,
  code?: URL,
): Promise<Digest | undefined> {
  const known = traceKeyOf(request, code);
  if (known === undefined) return undefined;
  return useSelection(known.databasePath, known.key, async ({ content, looks, pieceCount }) => {
    using looker = openLooker(known.directory, { isLong: pieceCount > LONG_PIECES });
    for (const piece of looks) {
      if (!isAsItWas(looker, piece)) return undefined;
      await setImmediate();
      if (signal?.aborted) return undefined;
    }
    return content as Digest;
  });
}

function isAsItWas(looker: Looker, bytes: Uint8Array): boolean {
  const piece = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < piece.length; ) {
    const start = at + LENGTH_BYTES;
    const end = start + view.getUint32(at, true);
    const wasThere = piece[end + 1] === 1;
    at = end + 2;
    try {
      if (looker.isThere(piece, start, end) !== wasThere) return false;
    } catch {
      // What cannot be looked at is for the selection to tell.
      return false;
    }
    if (!wasThere) continue;
    if (!looker.hasStamp(view, at)) return false;
    at += STAMP_BYTES;
  }
  return true;
}

/** Notes what a selection looks at, in a temporary file. Made before anything is looked at. */
class TraceWriter implements Disposable {
  readonly #begun = Date.now();
  readonly #path: string;
  readonly #fd: number;
  readonly #pieceSizes: number[] = [];
  #piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  #fill = 0;
  #isSettled = true;
  #youngest: { readonly path: RootfsPath; readonly stats: BigIntStats }[] = [];
  /** Changed before that: not among the youngest. */
  #youngestSince = 0n;

  constructor(temporaryDirectory: string) {
    this.#path = join(temporaryDirectory, `trace-${randomBytes(9).toString("hex")}`);
    this.#fd = openSync(this.#path, "wx+", 0o600);
  }

  look(path: RootfsPath, stats: BigIntStats | undefined): void {
    this.#isSettled &&= stats === undefined || isSettled(stats, this.#begun);
    if (!this.#isSettled) return;
    this.#add(path, stats);
    if (stats !== undefined && stats.ctimeNs >= this.#youngestSince) {
      this.#youngest.push({ path, stats });
      if (this.#youngest.length >= 2 * YOUNGEST_MAX) this.#keepYoungest();
    }
  }

  keep({ key, databasePath }: TraceKey, content: Digest): void {
    if (!this.#isSettled) return;
    this.#flush();
    this.#keepYoungest();
    for (const { path, stats } of this.#youngest) this.#add(path, stats);
    this.#flush();
    keepSelection(databasePath, key, { content, looks: this.#readPieces() });
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
    rmSync(this.#path, { force: true });
  }

  #add(path: RootfsPath, stats: BigIntStats | undefined): void {
    const size = LENGTH_BYTES + path.length + 2 + STAMP_BYTES;
    if (this.#fill + size > this.#piece.length) this.#flush();
    if (size > this.#piece.length) this.#piece = Buffer.allocUnsafeSlow(size);
    let at = this.#piece.writeUInt32LE(path.length, this.#fill);
    at += this.#piece.write(path, at, "latin1");
    at = this.#piece.writeUInt8(0, at);
    at = this.#piece.writeUInt8(stats === undefined ? 0 : 1, at);
    if (stats !== undefined) {
      writeStamp(new DataView(this.#piece.buffer), at, stats);
      at += STAMP_BYTES;
    }
    this.#fill = at;
  }

  #keepYoungest(): void {
    this.#youngest.sort((one, other) => Number(other.stats.ctimeNs - one.stats.ctimeNs));
    this.#youngest.length = Math.min(this.#youngest.length, YOUNGEST_MAX);
    this.#youngestSince = this.#youngest.at(-1)?.stats.ctimeNs ?? 0n;
  }

  #flush(): void {
    if (this.#fill === 0) return;
    for (let at = 0; at < this.#fill; ) at += writeSync(this.#fd, this.#piece, at, this.#fill - at);
    this.#pieceSizes.push(this.#fill);
    this.#fill = 0;
  }

  /** The last piece, with the youngest, first. */
  *#readPieces(): Generator<Uint8Array> {
    const places: { readonly size: number; readonly position: number }[] = [];
    let end = 0;
    for (const size of this.#pieceSizes) {
      places.push({ size, position: end });
      end += size;
    }
    for (const { size, position } of [...places.splice(-1), ...places]) {
      const piece = Buffer.allocUnsafe(size);
      if (readSync(this.#fd, piece, 0, size, position) !== size) throw new Error("a trace is cut off");
      yield piece;
    }
  }
}
