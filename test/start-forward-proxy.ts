import { once } from "node:events";
import { createServer, request as requestHttp } from "node:http";
import { type AddressInfo, connect } from "node:net";
import type { Duplex } from "node:stream";

export interface ForwardProxy extends AsyncDisposable {
  /** For HTTP_PROXY and HTTPS_PROXY. */
  readonly url: string;
  /** `CONNECT HOST:PORT` and `METHOD URL`, in order. */
  readonly seen: readonly string[];
}

/**
 * A proxy on loopback that knows the way to some `HOST:PORT`, which need to exist nowhere else: a client has to leave it to the
 * proxy to look them up. All others are a bad gateway.
 */
export async function startForwardProxy(ways: Readonly<Record<string, string>>): Promise<ForwardProxy> {
  const seen: string[] = [];
  /** Which are no connections of the server any more. */
  const tunnels = new Set<Duplex>();
  const find = (place: string) => {
    const [host, port] = ways[place]?.split(":") ?? [];
    return host === undefined ? undefined : { host, port: Number(port) };
  };
  const proxy = createServer((incoming, outgoing) => {
    const { method, url = "", headers } = incoming;
    seen.push(`${method} ${url}`);
    const { hostname, port, pathname, search } = new URL(url);
    const way = find(`${hostname}:${port || 80}`);
    if (way === undefined) return outgoing.writeHead(502).end();
    const upstream = requestHttp({ ...way, method, path: pathname + search, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    upstream.on("error", () => outgoing.destroy());
    return incoming.pipe(upstream);
  });
  proxy.on("connect", (request, socket) => {
    seen.push(`CONNECT ${request.url}`);
    tunnels.add(socket);
    const way = find(request.url ?? "");
    if (way === undefined) {
      socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
      return;
    }
    const upstream = connect(way, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      socket.pipe(upstream).pipe(socket);
    });
    upstream.on("error", () => socket.destroy());
    socket.on("error", () => upstream.destroy());
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      proxy.close();
      proxy.closeAllConnections();
      for (const tunnel of tunnels) tunnel.destroy();
      await once(proxy, "close");
    },
  };
}
