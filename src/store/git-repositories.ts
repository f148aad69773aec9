import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { digestHex } from "../oci/digest.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import type { Store } from "./open-store.ts";

/** A bare repository that holds what was fetched of a remote so far. */
export interface GitRepository {
  /** Whoever writes to it holds the lock of that name. */
  readonly lockName: string;
  readonly directory: string;
}

/** The place of a remote's repository, which may not be made yet. `remote` holds no secret. */
export function openGitRepository(store: Store, remote: string): GitRepository {
  const name = digestHex(digestBytes(remote)).slice(0, 32);
  const parent = join(store.root, "git");
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  store.database
    .prepare("INSERT OR REPLACE INTO git_repositories VALUES (?, ?, ?)")
    .run(name, remote, Date.now());
  return { lockName: `git ${name}`, directory: join(parent, name) };
}
