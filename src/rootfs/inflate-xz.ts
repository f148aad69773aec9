import { ReadableStream } from "node:stream/web";
import { CUT_OFF, DAMAGED, makeDataError } from "./inflate.ts";
import type { ArchiveInput } from "./inflate-archive.ts";

type XzModule = Pick<typeof import("xz-decompress"), "XzReadableStream">;

/** As `inflateArchive`, for xz. */
export async function inflateXz(chunks: ArchiveInput, output: (chunk: Uint8Array) => void): Promise<void> {
  const loaded: XzModule & { readonly default?: XzModule } = await import("xz-decompress");
  // Node shows its CommonJS exports as the default one only.
  const { XzReadableStream } = loaded.default ?? loaded;
  let failure: unknown;
  const source = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await chunks.next().catch((error: unknown) => {
        failure = error;
        throw error;
      });
      if (next.done) controller.close();
      else controller.enqueue(Uint8Array.from(next.value));
    },
  });
  const reader = new XzReadableStream(source as never).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: Error) => {
        // XZ_BUF_ERROR: it wants more than there is.
        const isCutOff = error.message.endsWith("error code 8");
        throw failure ?? makeDataError(isCutOff ? CUT_OFF : DAMAGED, error);
      });
      if (done) break;
      output(value as Uint8Array);
    }
    // It stops where the last stream ends.
    while (!(await chunks.next()).done);
  } finally {
    // A decoder that nobody lets go keeps all later ones of the thread waiting.
    await reader.cancel().catch(() => {});
  }
}
