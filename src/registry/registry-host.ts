/** Where a registry's API may answer, to be tried in this order. */
export interface RegistryOrigin {
  readonly url: URL;
  readonly verifyTls: boolean;
}

export interface RegistryHostOptions {
  readonly insecureRegistries?: readonly string[];
  readonly tlsVerify?: boolean;
}

/** Docker Hub's API does not live at the host that its images are named after. */
const API_HOST: Readonly<Record<string, string>> = { "docker.io": "registry-1.docker.io" };

/** Whether a host name (no port; IPv6 with or without brackets) is this machine. */
export function isLoopback(hostname: string): boolean {
  const name = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  return (
    name === "localhost" ||
    name.endsWith(".localhost") ||
    name === "::1" ||
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name)
  );
}

/**
 * docker's rule: HTTPS with a verified certificate; for an insecure registry HTTPS with any certificate, then plain HTTP. Loopback
 * addresses are insecure by themselves. DIFFERS: on loopback, except at port 443, plain HTTP is tried first, for that is
 * what registries speak there.
 */
export function listRegistryOrigins(
  registryHost: string,
  options: RegistryHostOptions = {},
): readonly RegistryOrigin[] {
  const host = API_HOST[registryHost] ?? registryHost;
  const https = new URL(`https://${host}`);
  const loopback = isLoopback(https.hostname);
  const isInsecure =
    options.tlsVerify === false ||
    options.insecureRegistries?.includes(registryHost) ||
    (loopback && options.tlsVerify !== true);
  if (!isInsecure) return [{ url: https, verifyTls: true }];
  const origins = [
    { url: https, verifyTls: false },
    { url: new URL(`http://${host}`), verifyTls: false },
  ];
  return loopback && https.port !== "" ? origins.reverse() : origins;
}
