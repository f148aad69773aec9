import type { RemoteOptions, RemoteSources } from "../context/remote-sources.ts";

/** URLs and git repositories for one build: opened when they are first needed, closed with it. */
export interface LazyRemotes extends AsyncDisposable {
  open(): Promise<RemoteSources>;
}

export function makeLazyRemotes(options: RemoteOptions): LazyRemotes {
  let remotes: Promise<RemoteSources> | undefined;
  return {
    open() {
      // Most builds fetch nothing: the code for it is loaded here.
      remotes ??= import("../context/remote-sources.ts").then(({ openRemoteSources }) =>
        openRemoteSources(options),
      );
      return remotes;
    },
    async [Symbol.asyncDispose]() {
      await (await remotes)?.[Symbol.asyncDispose]();
    },
  };
}
