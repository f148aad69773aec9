import { addAbortSignal } from "node:stream";
import { BuildError } from "../errors/build-error.ts";
import type { CommandWorld } from "./command-context.ts";

/** All of stdin. `what` says for messages what it holds. @throws BuildError `input-limit`. */
export async function readStandardInput(
  stdin: CommandWorld["stdin"],
  options: { readonly what: string; readonly limitBytes: number; readonly signal: AbortSignal },
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of addAbortSignal(options.signal, stdin) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > options.limitBytes) {
      const limit = `${options.limitBytes / 1024 / 1024} MiB`;
      throw new BuildError("input-limit", `Cannot read ${options.what} on stdin: it has more than ${limit}`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
