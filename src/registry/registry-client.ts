import type { Readable } from "node:stream";
import type { InputLimits } from "../errors/input-limits.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageReference } from "../oci/reference.ts";
import type { ProxyEnvironment } from "./choose-proxy.ts";
import type { CredentialsProvider } from "./credentials.ts";
import { fetchManifest, headManifest } from "./fetch-manifest.ts";
import { HttpConnections, type TlsOptions } from "./http-connections.ts";
import { listTags } from "./list-tags.ts";
import { openBlob } from "./open-blob.ts";
import { ping } from "./ping.ts";
import { hasBlob, mountBlob, pushBlob } from "./push-blob.ts";
import { pushManifest } from "./push-manifest.ts";
import { readCertificates, readHostCertificates } from "./read-certificates.ts";
import { listReferrers } from "./referrers.ts";
import { makeRegistrySession, type RegistrySession } from "./registry-session.ts";
import { DEFAULT_RETRIES, type RetryPolicy } from "./retry-policy.ts";
import { type RegistryRule, rewriteReference } from "./rewrite-reference.ts";
import { type StreamedUpload, streamBlob } from "./stream-blob.ts";
import { streamFromPlaces, tryPlaces } from "./try-places.ts";

/** How to talk to registries. Everything may be left out. */
export interface RegistryClientOptions {
  /** Anonymous when absent. */
  readonly credentials?: CredentialsProvider;
  /** `host[:port]` of registries that may speak plain HTTP or show a certificate that nobody signed. Loopback addresses always may. */
  readonly insecureRegistries?: readonly string[];
  /** `--tls-verify`: false treats every registry as insecure, true not even loopback addresses. Absent: docker's rule. */
  readonly tlsVerify?: boolean;
  /** How often a request is repeated after a 429, a 5xx or a broken connection, and the first pause, which doubles. */
  readonly retries?: Partial<RetryPolicy>;
  readonly userAgent?: string;
  /** Mirrors and other places for images by their names. */
  readonly rules?: readonly RegistryRule[];
  /** Bigger blobs are uploaded in pieces of this many bytes, for registries and proxies with a limit; absent: in one piece. */
  readonly uploadChunkBytes?: number;
  /** Directories with one directory for each registry host, which holds `*.crt` (authorities), `*.cert` and `*.key`. */
  readonly certificateDirectories?: readonly string[];
  /** The directory with the certificates of one host, in place of `certificateDirectories`; undefined where there is none. */
  readonly certificatesOf?: (host: string) => string | undefined;
  /** Where the proxy variables are looked up; the process's environment when absent. */
  readonly environment?: ProxyEnvironment;
  /** `manifest-size` is asked; `DEFAULT_LIMITS` when absent. */
  readonly limits?: InputLimits;
  /** Aborts everything that the client does. */
  readonly signal?: AbortSignal;
}

export interface RequestOptions {
  readonly signal?: AbortSignal;
}

export interface TransferOptions extends RequestOptions {
  /** Called with the bytes transferred so far; after a restart it may go back. Must not throw. */
  readonly onProgress?: (doneBytes: number) => void;
}

export interface DownloadOptions extends TransferOptions {
  /** The receiver hashes the bytes and refuses wrong ones, so that they are hashed once: only their count is verified here. */
  readonly receiverVerifies?: boolean;
}

export interface ResolvedManifest {
  /** Media type, digest and size of `bytes`. */
  readonly descriptor: Descriptor;
  /** The manifest or index as the registry sent it, verified. */
  readonly bytes: Uint8Array;
}

/**
 * Talks the OCI distribution spec 1.1 with any number of registries. Connections and tokens are kept until it is disposed.
 * Every failure is a BuildError that names the registry: `image-not-found`, `authentication`, `registry`, `verification`, `unsupported`.
 */
export interface RegistryClient extends AsyncDisposable {
  /** Asks whether the registry is there and takes the credentials (`/v2/`). */
  ping(registryHost: string, options?: RequestOptions): Promise<void>;
  /** Gets a manifest or index by digest, else by tag. */
  resolveManifest(reference: ImageReference, options?: RequestOptions): Promise<ResolvedManifest>;
  /** What the registry says a reference is, without its bytes; undefined when it has no such manifest. Not verified. */
  headManifest(reference: ImageReference, options?: RequestOptions): Promise<Descriptor | undefined>;
  /**
   * Streams a blob of the reference's repository. The stream throws `verification` at its end unless size and digest
   * are the descriptor's: what came before must not be trusted until it has ended.
   */
  openBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    options?: DownloadOptions,
  ): AsyncIterable<Uint8Array>;
  /** All tags of the reference's repository. */
  listTags(reference: ImageReference, options?: RequestOptions): Promise<readonly string[]>;
  hasBlob(reference: ImageReference, digest: Digest, options?: RequestOptions): Promise<boolean>;
  /** Makes a blob of another repository of the same registry appear in the reference's; false when the registry would not. */
  mountBlob(
    reference: ImageReference,
    digest: Digest,
    fromRepository: string,
    options?: RequestOptions,
  ): Promise<boolean>;
  /** Uploads a blob unless the repository has it. `openStream` is called again for each attempt. */
  pushBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    openStream: () => AsyncIterable<Uint8Array> | Readable,
    options?: TransferOptions,
  ): Promise<"existed" | "pushed">;
  /**
   * Begins to upload a blob that is still being made, to be committed once it is known what it is; undefined where blobs have to go in
   * pieces whose length is known before.
   */
  streamBlob(
    reference: ImageReference,
    readBytes: () => AsyncIterable<Uint8Array>,
    options?: RequestOptions,
  ): StreamedUpload | undefined;
  /**
   * Puts a manifest or index under the reference's tag, or its digest when it has no tag. One with a `subject` also goes into the
   * subject's referrers tag where the registry has no referrers API.
   */
  pushManifest(
    reference: ImageReference,
    mediaType: string,
    bytes: Uint8Array,
    options?: RequestOptions,
  ): Promise<Descriptor>;
  /** The manifests whose `subject` is the digest, by the referrers API or the referrers tag; of one artifact type when it is given. */
  listReferrers(
    reference: ImageReference,
    digest: Digest,
    options?: RequestOptions & { readonly artifactType?: string },
  ): Promise<readonly Descriptor[]>;
}

const DEFAULT_USER_AGENT = "slipway";

export function makeRegistryClient(options: RegistryClientOptions = {}): RegistryClient {
  const connections = new HttpConnections(options.environment ?? process.env);
  const retries: RetryPolicy = {
    count: options.retries?.count ?? DEFAULT_RETRIES.count,
    delayMs: options.retries?.delayMs ?? DEFAULT_RETRIES.delayMs,
  };
  const sessions = new Map<string, RegistrySession>();
  const certificates = new Map<string, Promise<Omit<TlsOptions, "verify">>>();

  const tlsFor = async (host: string, verify: boolean): Promise<TlsOptions> => {
    let read = certificates.get(host);
    if (read === undefined) {
      const own = options.certificatesOf?.(host);
      read =
        own === undefined
          ? readCertificates(host, options.certificateDirectories)
          : readHostCertificates(own);
      certificates.set(host, read);
    }
    const found = await read;
    return { ...found, verify };
  };
  const sessionOf = ({ registry }: Pick<ImageReference, "registry">): RegistrySession => {
    let session = sessions.get(registry);
    if (session === undefined) {
      session = makeRegistrySession({
        registry,
        connections,
        credentials: options.credentials,
        userAgent: options.userAgent ?? DEFAULT_USER_AGENT,
        retries,
        insecureRegistries: options.insecureRegistries,
        tlsVerify: options.tlsVerify,
        limits: options.limits,
        tlsFor,
      });
      sessions.set(registry, session);
    }
    return session;
  };
  /** The call's options with the client's signal joined to theirs. */
  const join = <Options extends RequestOptions>(own: Options | undefined): Options => {
    const signals = [own?.signal, options.signal].filter((signal) => signal !== undefined);
    return { ...own, signal: signals.length > 1 ? AbortSignal.any(signals) : signals[0] } as Options;
  };

  const placesOf = (reference: ImageReference) => rewriteReference(reference, options.rules ?? []);
  /** Where a reference is pushed to: mirrors are only for pulls. */
  const homeOf = (reference: ImageReference): [RegistrySession, ImageReference] => {
    const home = placesOf(reference).at(-1)!;
    return [sessionOf(home), home];
  };

  return {
    ping: async (registry, own) => ping(sessionOf({ registry }), registry, join(own)),
    resolveManifest: (reference, own) =>
      tryPlaces(placesOf(reference), (place) => fetchManifest(sessionOf(place), place, join(own))),
    headManifest: (reference, own) =>
      tryPlaces(placesOf(reference), (place) => headManifest(sessionOf(place), place, join(own))),
    openBlob: (reference, descriptor, own) =>
      streamFromPlaces(placesOf(reference), (place) =>
        openBlob(sessionOf(place), { ...join(own), reference: place, descriptor }),
      ),
    listTags: (reference, own) =>
      tryPlaces(placesOf(reference), (place) => listTags(sessionOf(place), place, join(own))),
    hasBlob: async (reference, digest, own) => hasBlob(...homeOf(reference), { ...join(own), digest }),
    mountBlob: async (reference, digest, fromRepository, own) => {
      const [session, home] = homeOf(reference);
      const [, from] = homeOf({ ...reference, repository: fromRepository });
      // A rule may have put the two on different registries.
      if (from.registry !== home.registry) return false;
      return mountBlob(session, home, { ...join(own), digest, fromRepository: from.repository });
    },
    pushBlob: async (reference, descriptor, openStream, own) => {
      const [session, home] = homeOf(reference);
      const chunkBytes = options.uploadChunkBytes;
      return pushBlob(session, { ...join(own), reference: home, descriptor, openStream, chunkBytes });
    },
    streamBlob(reference, readBytes, own) {
      if (options.uploadChunkBytes !== undefined) return undefined;
      const [session, home] = homeOf(reference);
      return streamBlob(session, { ...join(own), reference: home, readBytes });
    },
    pushManifest: async (reference, mediaType, bytes, own) =>
      pushManifest(...homeOf(reference), { ...join(own), mediaType, bytes }),
    listReferrers: async (reference, digest, own) =>
      listReferrers(...homeOf(reference), { ...join(own), digest }),
    [Symbol.asyncDispose]: () => connections[Symbol.asyncDispose](),
  };
}
