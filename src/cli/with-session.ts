import { openSession, type Session, type SessionOptions } from "../index.ts";
import type { CommandContext } from "./command-context.ts";
import { readRegistryFlags } from "./registry-flags.ts";
import { type ProgressMode, startProgress } from "./start-progress.ts";

type RegistryChoice = Pick<SessionOptions, "authFile" | "tlsVerify" | "registryOptions">;

/** What a command's session is opened with: the settings, where its own options do not say otherwise. */
export function sessionOptions(
  context: CommandContext,
  own: RegistryChoice = readRegistryFlags(context),
): SessionOptions {
  const { root, storeMaxBytes, runtime, limits } = context.settings();
  const { authFile, tlsVerify, registryOptions } = own;
  return {
    root,
    storeMaxBytes,
    runtime,
    limits,
    signal: context.signal,
    authFile,
    tlsVerify,
    registryOptions,
  };
}

/** Opens the store for a command, and closes it. */
export async function withSession<T>(
  context: CommandContext,
  work: (session: Session) => Promise<T>,
  { emit, registry }: { readonly emit?: SessionOptions["emit"]; readonly registry?: RegistryChoice } = {},
): Promise<T> {
  await using session = openSession({ ...sessionOptions(context, registry), emit });
  return await work(session);
}

/** The same for what may transfer bytes, which is shown while it goes on. */
export async function withProgress<T>(
  context: CommandContext,
  work: (session: Session) => Promise<T>,
  options: {
    readonly registry?: RegistryChoice;
    readonly verb: string;
    readonly mode?: ProgressMode;
  },
): Promise<T> {
  const progress = await startProgress(context, { mode: options.mode ?? "auto", verb: options.verb });
  let isDone = false;
  try {
    const result = await withSession(context, work, { registry: options.registry, emit: progress.emit });
    isDone = true;
    return result;
  } finally {
    progress.close(isDone);
  }
}
