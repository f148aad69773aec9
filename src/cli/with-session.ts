import { openSession, type Session, type SessionOptions } from "../build/open-session.ts";
import type { CommandContext } from "./command-context.ts";
import { type ProgressMode, startProgress } from "./start-progress.ts";

/** Opens the store for a command, and closes it. */
export async function withSession<T>(
  context: CommandContext,
  work: (session: Session) => Promise<T>,
  options: Pick<SessionOptions, "emit" | "authFile" | "tlsVerify"> = {},
): Promise<T> {
  await using session = openSession({
    ...options,
    root: context.root(),
    storeMaxBytes: context.storeMaxBytes(),
    signal: context.signal,
  });
  return await work(session);
}

/** The same for what may transfer bytes, which is shown while it goes on. */
export async function withProgress<T>(
  context: CommandContext,
  work: (session: Session) => Promise<T>,
  options: Pick<SessionOptions, "authFile" | "tlsVerify"> & {
    readonly verb: string;
    readonly mode?: ProgressMode;
  },
): Promise<T> {
  const progress = await startProgress(context, { mode: options.mode ?? "auto", verb: options.verb });
  let isDone = false;
  try {
    const result = await withSession(context, work, { ...options, emit: progress.emit });
    isDone = true;
    return result;
  } finally {
    progress.close(isDone);
  }
}
