import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
}

export interface FileServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly host: string;
  /** Every request so far, in order. */
  readonly requests: readonly SeenRequest[];
}

/** A web server on loopback that answers as `answer` says. */
export async function serveFiles(
  answer: (request: SeenRequest, response: ServerResponse, incoming: IncomingMessage) => void,
): Promise<FileServer> {
  const requests: SeenRequest[] = [];
  const server = createServer((incoming, response) => {
    const seen = { method: incoming.method ?? "", path: incoming.url ?? "", headers: incoming.headers };
    requests.push(seen);
    incoming.on("error", () => {});
    response.on("error", () => {});
    answer(seen, response, incoming);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `http://${host}`,
    host,
    requests,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
