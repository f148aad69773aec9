import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { type ContextWork, makeContextWork } from "../context/context-work.ts";
import { makeIgnoreMatcher } from "../dockerfile/make-ignore-matcher.ts";
import { DEFAULT_LIMITS, type InputLimits } from "../errors/input-limits.ts";
import type { ImageAccess } from "../image/image-access.ts";
import type { ResourceLimits } from "../oci/resource-limits.ts";
import type { EventSink } from "../progress/event.ts";
import { limitProgress } from "../progress/limit-progress.ts";
import type { CredentialsProvider } from "../registry/credentials.ts";
import type { RegistryClient, RegistryClientOptions } from "../registry/registry-client.ts";
import { makeLayerWork } from "../rootfs/layer-work.ts";
import { findProgram, findRuntime } from "../sandbox/find-runtime.ts";
import { makeMaterialiser } from "../sandbox/materialise-layers.ts";
import type { Sandbox } from "../sandbox/run-container.ts";
import { makeRunDirectories } from "../sandbox/run-directories.ts";
import { type Holder, startHolder } from "../sandbox/start-holder.ts";
import { temporaryPath } from "../store/blobs.ts";
import { makeDurable } from "../store/durability.ts";
import { defaultStoreRoot, openStore } from "../store/open-store.ts";
import { makeThreadPool, workerEntry } from "../threads/thread-pool.ts";
import { watchStoreSize } from "./watch-store-size.ts";

export interface SessionOptions {
  /** The store's directory; `defaultStoreRoot` when absent. */
  readonly root?: string;
  readonly signal?: AbortSignal;
  readonly emit?: EventSink;
  /** Registry credentials; those of docker's and podman's files when absent. */
  readonly credentials?: CredentialsProvider;
  readonly authFile?: string;
  readonly tlsVerify?: boolean;
  /** Mirrors, insecure registries, certificates, retries. */
  readonly registryOptions?: Pick<
    RegistryClientOptions,
    "rules" | "insecureRegistries" | "certificatesOf" | "retries"
  >;
  /** The OCI runtime, `crun` or `runc`; the first that is installed when absent. */
  readonly runtime?: string;
  /** What commands are limited to; here only to say when nothing can be. */
  readonly resources?: ResourceLimits;
  /** What input may measure: `DEFAULT_LIMITS` when absent. */
  readonly limits?: InputLimits;
  /** What the store may take on disk, in bytes: what was least recently used goes. No limit when absent. */
  readonly storeMaxBytes?: number;
}

/**
 * What a build and every operation works with: a store, worker threads, registries, a sandbox; each opened when it is first needed.
 * Closing it waits for everything that it started, and makes what was finished durable.
 */
export interface Session extends ImageAccess, AsyncDisposable {
  readonly contextWork: ContextWork;
  /** `stdio: "inherit"` gives commands the terminal of this process. Throws BuildError `environment` without an OCI runtime. */
  openSandbox(options?: { readonly stdio?: "pipe" | "inherit" }): Sandbox;
  /** No command will run any more, as far as is known: the sandbox ends while other work goes on. */
  leaveSandbox(): void;
}

/** @throws BuildError `store` when the store cannot be used. */
export function openSession(options: SessionOptions = {}): Session {
  const store = openStore(options.root ?? defaultStoreRoot(process.env));
  const pool = makeThreadPool({ entry: workerEntry() });
  const work = makeLayerWork(pool, { limits: options.limits, makeIgnoreMatcher });
  const { storeMaxBytes: maxBytes } = options;
  const emit = limitProgress(options.emit ?? (() => {}));
  const sizeWatch = maxBytes === undefined ? undefined : watchStoreSize(store, { maxBytes, emit });
  const registries = new Map<boolean, Promise<RegistryClient>>();
  let holder: Promise<Holder> | undefined;
  let sandbox: Sandbox | undefined;
  const leaving: Promise<void>[] = [];

  const openRegistry = async (insecure: boolean): Promise<RegistryClient> => {
    const { makeRegistryClient } = await import("../registry/registry-client.ts");
    const { makeStoredCredentials } = await import("../registry/credentials.ts");
    return makeRegistryClient({
      ...options.registryOptions,
      credentials: options.credentials ?? makeStoredCredentials({ authFile: options.authFile }),
      tlsVerify: insecure ? false : options.tlsVerify,
      signal: options.signal,
      limits: options.limits,
    });
  };
  const note = (message: string) => emit({ kind: "note", time: Date.now(), message });
  const makeSandbox = (stdio: "pipe" | "inherit" | undefined): Sandbox => {
    const pastaPath = findPasta();
    if (pastaPath === undefined && stdio !== "inherit")
      note("pasta is not installed (Debian's passt): RUN has the host's network, loopback included");
    const runtime = findRuntime(process.env.PATH ?? "", {
      name: options.runtime ?? process.env.SLIPWAY_RUNTIME,
      isAttached: stdio === "inherit",
    });
    const openHolder = async (preparesNetwork: boolean): Promise<Holder> => {
      const memoryDirectory = temporaryPath(store);
      await mkdir(memoryDirectory);
      const started = await startHolder({ memoryDirectory, stdio, pastaPath, preparesNetwork, runtime });
      const hasLimits = Object.values(options.resources ?? {}).some((value) => value !== undefined);
      if (hasLimits && started.cgroups === "none")
        note("the limits of commands have no effect: this machine grants no cgroups with memory");
      return started;
    };
    return {
      hasPasta: pastaPath !== undefined,
      materialiser: makeMaterialiser(store, { work, emit }),
      directories: makeRunDirectories(store.temporaryDirectory),
      openHolder(network) {
        holder ??= openHolder(network === "pasta");
        return holder;
      },
    };
  };
  return {
    store,
    work,
    emit,
    signal: options.signal ?? new AbortController().signal,
    limits: options.limits ?? DEFAULT_LIMITS,
    layersUnderWay: new Map(),
    openRegistry({ insecure = false } = {}) {
      const registry = registries.get(insecure) ?? openRegistry(insecure);
      registries.set(insecure, registry);
      return registry;
    },
    contextWork: makeContextWork(pool),
    openSandbox({ stdio } = {}) {
      sandbox ??= makeSandbox(stdio);
      return sandbox;
    },
    leaveSandbox() {
      const ended = close(holder);
      // Closing the session tells it.
      ended.catch(() => {});
      leaving.push(ended);
      holder = undefined;
      sandbox = undefined;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...leaving, close(holder)]);
      await pool[Symbol.asyncDispose]();
      for (const registry of registries.values()) await close(registry);
      await sizeWatch?.[Symbol.asyncDispose]();
      await makeDurable(store);
      await store[Symbol.asyncDispose]();
    },
  };
}

/** pasta (Debian's passt) needs the tun device. */
function findPasta(): string | undefined {
  return existsSync("/dev/net/tun") ? findProgram("pasta", process.env.PATH ?? "") : undefined;
}

/** What failed to open has nothing to close; its failure was told to whoever asked for it. */
async function close(opening: Promise<AsyncDisposable> | undefined): Promise<void> {
  const opened = await opening?.catch(() => undefined);
  await opened?.[Symbol.asyncDispose]();
}
