import { isLoopback } from "./registry-host.ts";

/** The environment, of which the proxy variables are read, in lower and upper case. */
export type ProxyEnvironment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for a URL by HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as Go programs (docker, skopeo) read them: a loopback
 * address never goes through one; NO_PROXY has host names (with or without a leading dot, subdomains included unless
 * it is an address), `host:port`, IPv4 networks (`10.0.0.0/8`) and `*`.
 */
export function chooseProxy(url: URL, environment: ProxyEnvironment): string | undefined {
  const read = (name: string) =>
    environment[name.toLowerCase()] || environment[name.toUpperCase()] || undefined;
  const proxy = read(url.protocol === "https:" ? "https_proxy" : "http_proxy");
  if (proxy === undefined || isLoopback(url.hostname)) return undefined;
  if (isExempt(url, read("no_proxy") ?? "")) return undefined;
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
}

function isExempt(url: URL, noProxy: string): boolean {
  const host = url.hostname.toLowerCase();
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => {
      if (entry === "") return false;
      if (entry === "*") return true;
      if (entry.includes("/")) return isInNetwork(host, entry);
      const [, name = entry, wantedPort] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      if (wantedPort !== undefined && wantedPort !== port) return false;
      const bare = name.replace(/^\*?\./, "");
      return (host === bare && !name.startsWith(".")) || host.endsWith(`.${bare}`);
    });
}

function isInNetwork(host: string, network: string): boolean {
  const [base = "", bits = ""] = network.split("/");
  const address = parseIpv4(host);
  const start = parseIpv4(base);
  if (address === undefined || start === undefined || !/^\d+$/.test(bits)) return false;
  const size = 2 ** (32 - Number(bits));
  return Math.floor(address / size) === Math.floor(start / size);
}

function parseIpv4(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256))
    return undefined;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}
