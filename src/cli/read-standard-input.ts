import { addAbortSignal } from "node:stream";
import { BuildError } from "../errors/build-error.ts";
import { DEFAULT_LIMITS, type InputLimits, makeLimitError } from "../errors/input-limits.ts";
import type { CommandWorld } from "./command-context.ts";

/** All of stdin. `what` says for messages what it holds. @throws BuildError `input-limit`. */
export function readStandardInput(
  stdin: CommandWorld["stdin"],
  options: { readonly what: string; readonly limitBytes: number; readonly signal: AbortSignal },
): Promise<Uint8Array> {
  const { what, limitBytes, signal } = options;
  return readAll(stdin, signal, (size) => {
    if (size <= limitBytes) return;
    const limit = `${limitBytes / 1024 / 1024} MiB`;
    throw new BuildError("input-limit", `Cannot read ${what} on stdin: it has more than ${limit}`);
  });
}

/** A Dockerfile on stdin. @throws BuildError `input-limit`. */
export function readDockerfileInput(
  stdin: CommandWorld["stdin"],
  { limits = DEFAULT_LIMITS, signal }: { readonly limits?: InputLimits; readonly signal: AbortSignal },
): Promise<Uint8Array> {
  return readAll(stdin, signal, (size) => {
    if (size <= limits["dockerfile-size"]) return;
    throw makeLimitError("dockerfile-size", "Cannot read the Dockerfile on stdin: it is larger", limits);
  });
}

async function readAll(
  stdin: CommandWorld["stdin"],
  signal: AbortSignal,
  checkSize: (size: number) => void,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of addAbortSignal(signal, stdin) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    checkSize(size);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
