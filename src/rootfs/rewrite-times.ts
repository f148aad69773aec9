import { NO_LIMITS } from "../errors/input-limits.ts";
import type { WrittenLayer } from "./copy-request.ts";
import { collectEntries } from "./ingest-layer.ts";
import type { Layer } from "./layer.ts";
import { LayerWriter } from "./layer-writer.ts";
import { tarChunks } from "./tar-chunks.ts";
import { tarPadding } from "./tar-header.ts";
import { type TarHandler, TarReader } from "./tar-reader.ts";
import { encodeTarMember, TAR_END } from "./tar-writer.ts";

export interface RewriteTimesRequest {
  readonly layer: Layer;
  /** Seconds since 1970. */
  readonly seconds: number;
  /** Every time, not only those after it. */
  readonly all: boolean;
  readonly layersDirectory: string;
}

const ZEROS = Buffer.alloc(512);

/** The same layer with other times, in the same order: later ones become `seconds`, or all do. */
export function rewriteTimes(
  { layer, seconds, all, layersDirectory }: RewriteTimesRequest,
  throwIfAborted: () => void = () => {},
): WrittenLayer {
  using writer = new LayerWriter(layersDirectory);
  const indexer = new TarReader(collectEntries(writer), { limits: NO_LIMITS });
  const write = (chunk: Uint8Array) => {
    writer.write(chunk);
    indexer.write(chunk);
  };
  let padding = 0;
  const handler: TarHandler = {
    member(member) {
      const mtime = all || member.mtime > seconds ? seconds : member.mtime;
      padding = tarPadding(member.size);
      write(encodeTarMember({ ...member, mtime, mtimeNs: 0 }));
    },
    content: write,
    memberEnd() {
      if (padding > 0) write(ZEROS.subarray(0, padding));
      padding = 0;
    },
  };
  const reader = new TarReader(handler, { limits: NO_LIMITS });
  for (const chunk of tarChunks(layer)) {
    throwIfAborted();
    reader.write(chunk);
  }
  reader.end();
  write(TAR_END);
  indexer.end();
  return writer.finish();
}
