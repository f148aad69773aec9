import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const PAGE = `<!doctype html>
<title>The shipyard</title>
<h1>The shipyard</h1>
<ul>
  <li><a href="/docks">The docks</a>
  <li><a href="slipways.html">The slipways</a>
  <li><a href="#crew">The crew</a>
  <li><a href="https://www.example.com/">A customer</a>
  <li><a href="https://www.example.org/ships?class=tug">Another one</a>
  <li><a href="mailto:harbour@example.net">Write to the harbour master</a>
  <li><a name="crew">An anchor, which is no link</a>
</ul>
`;

/** A page for href-counter to read, served on loopback until it is disposed of. */
export interface ServedPage extends AsyncDisposable {
  readonly url: string;
  /** What href-counter has to print for it. */
  readonly report: {
    readonly page: { readonly url: string; readonly title: string };
    readonly links: { readonly internal: number; readonly external: number; readonly other: number };
  };
}

/** Serves the page on a free port of 127.0.0.1. */
export async function servePage(): Promise<ServedPage> {
  const server = createServer((_request, response) => {
    response.setHeader("content-type", "text/html; charset=utf-8").end(PAGE);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    url,
    report: { page: { url, title: "The shipyard" }, links: { internal: 3, external: 2, other: 1 } },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
