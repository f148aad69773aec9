import { type ChildProcess, spawn } from "node:child_process";
import { BuildError } from "../errors/build-error.ts";
import { type GitAccess, makeGitEnvironment } from "./git-environment.ts";

export interface GitCall extends GitAccess {
  /** Where it runs. */
  readonly directory: string;
  /** For `GIT_DIR`, `GIT_WORK_TREE`, `GIT_INDEX_FILE`. */
  readonly variables?: Readonly<Record<string, string>>;
  /** How large a file may become that it writes, in bytes. */
  readonly fileLimit?: number;
  /** Takes what it prints, piece by piece; `runGit` then returns nothing. What it throws ends git and comes out of `runGit`. */
  readonly onOutput?: (chunk: Buffer) => void;
  readonly signal: AbortSignal;
}

/** git said no. */
export class GitFailure extends Error {
  /** The end of what it wrote to stderr, in one line without control characters. */
  readonly said: string;

  constructor(said: string) {
    super(said);
    this.name = "GitFailure";
    this.said = said;
  }
}

/** More than any list that is asked for. */
const OUTPUT_LIMIT = 256 << 20;
const SAID_LIMIT = 8192;
const KILL_AFTER_MS = 2000;

/**
 * Runs Debian's `git` and returns what it prints. `args` never hold a name from outside in front of a `--`, except where git takes none
 * and the name was checked.
 *
 * @throws GitFailure when it fails; BuildError `environment` where there is no git; the signal's reason.
 */
export async function runGit(args: readonly string[], call: GitCall): Promise<string> {
  call.signal.throwIfAborted();
  // Modes of a checkout are those of this mask, whoever builds: they are part of keys and of layers. Who writes too much is told so, not killed.
  const limit =
    call.fileLimit === undefined ? "" : `trap "" XFSZ; ulimit -f ${Math.ceil(call.fileLimit / 512)};`;
  const child = spawn("/bin/sh", ["-c", `umask 022; ${limit} exec git "$@"`, "git", ...args], {
    cwd: call.directory,
    env: { ...makeGitEnvironment(call), ...call.variables },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own: git starts helpers, which must end with it.
    detached: true,
  });
  const abort = () => endGroup(child);
  call.signal.addEventListener("abort", abort, { once: true });
  try {
    const stdout: Buffer[] = [];
    let size = 0;
    let said = "";
    let refusal: { readonly error: unknown } | undefined;
    child.stdout.on("data", (chunk: Buffer) => {
      if (refusal !== undefined) return;
      try {
        if (call.onOutput !== undefined) return call.onOutput(chunk);
        size += chunk.length;
        if (size > OUTPUT_LIMIT) throw new GitFailure(`its answer is larger than ${OUTPUT_LIMIT} bytes`);
        stdout.push(chunk);
      } catch (error) {
        refusal = { error };
        endGroup(child);
      }
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-SAID_LIMIT);
    });
    const code = await ended(child);
    call.signal.throwIfAborted();
    if (refusal !== undefined) throw refusal.error;
    if (code === 0) return Buffer.concat(stdout).toString("utf8");
    if (code === 127) {
      throw new BuildError("environment", "Cannot run git: there is no such program", {
        hint: "Install it: apt-get install git",
      });
    }
    throw new GitFailure(lastLines(said) || `it ended with the exit code ${code}`);
  } finally {
    call.signal.removeEventListener("abort", abort);
  }
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
}

/** SIGTERM first: git then removes its lock files. */
function endGroup(child: ChildProcess): void {
  const kill = (signal: NodeJS.Signals) => {
    try {
      process.kill(-child.pid!, signal);
    } catch {
      // It is gone.
    }
  };
  kill("SIGTERM");
  setTimeout(() => kill("SIGKILL"), KILL_AFTER_MS).unref();
}

/** Of git, and of the ssh that it runs. */
const COMPLAINT =
  /^(?:fatal|error|remote|ssh):|^warning: redirecting|: Permission denied \(|HOST IDENTIFICATION HAS CHANGED|^Host key verification failed/;

/** What matters in git's complaint: lines that have an error's mark, else the last ones. */
function lastLines(said: string): string {
  const lines = said
    .split(/[\r\n]+/)
    .map((line) => line.replace(/[\x00-\x1f\x7f-\x9f]+/g, " ").trim())
    .filter(Boolean);
  const marked = lines.filter((line) => COMPLAINT.test(line)).map((line) => line.replace(/^@ +| +@$/g, ""));
  return (marked.length > 0 ? marked : lines).slice(-3).join("; ").slice(0, 1000);
}
