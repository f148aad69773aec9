import type { InputLimits } from "../errors/input-limits.ts";
import type { Store } from "../store/open-store.ts";
import type { ContextWork } from "./context-work.ts";
import type { SshIdentity } from "./git-environment.ts";
import type { RemoteSources } from "./remote-sources.ts";

/** What opening a context takes. */
export interface ContextOptions {
  readonly store: Store;
  readonly work: ContextWork;
  /** For contexts that are URLs, opened when there is one. */
  readonly openRemotes: () => Promise<RemoteSources>;
  /** What git logs in with where the user names a repository: in place of nothing. */
  readonly ssh?: SshIdentity;
  readonly limits: InputLimits;
  readonly signal: AbortSignal;
}
