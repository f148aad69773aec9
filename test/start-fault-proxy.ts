import { once } from "node:events";
import { createServer, type IncomingMessage, request as requestHttp, type ServerResponse } from "node:http";

/** What the proxy does to one request instead of passing it on. */
export type Fault =
  /** Answers by itself. */
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  /** Passes the answer on, with other bytes or headers. `undefined` takes a header away. */
  | {
      readonly kind: "change";
      readonly body?: (bytes: Buffer) => Buffer;
      readonly headers?: Record<string, string | undefined>;
    }
  /** Passes the answer's first bytes on and breaks the connection. */
  | { readonly kind: "cut-answer"; readonly afterBytes: number }
  /** Passes the request's first bytes on and breaks both connections. */
  | { readonly kind: "cut-request"; readonly afterBytes: number }
  /** Passes the request on, once this is done. */
  | { readonly kind: "wait"; readonly until: Promise<unknown> }
  /** Breaks the connection before anything is passed on. */
  | { readonly kind: "reset" };

export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
}

export interface FaultProxy extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** Every request so far, in order. */
  readonly requests: readonly SeenRequest[];
}

/**
 * A reverse proxy on loopback in front of a registry that misbehaves where `decide` says so. `target` may be undefined where it
 * answers everything by itself.
 */
export async function startFaultProxy(
  target: string | undefined,
  decide: (request: SeenRequest) => Fault | undefined,
): Promise<FaultProxy> {
  const requests: SeenRequest[] = [];
  const server = createServer((incoming, outgoing) => {
    const seen = { method: incoming.method ?? "", path: incoming.url ?? "", headers: incoming.headers };
    requests.push(seen);
    const fault = decide(seen);
    incoming.on("error", () => {});
    outgoing.on("error", () => {});
    if (fault?.kind === "reset") incoming.socket.destroy();
    else if (fault?.kind === "answer") {
      incoming.resume();
      outgoing.writeHead(fault.status, fault.headers).end(fault.body);
    } else if (fault?.kind === "wait") {
      fault.until.finally(() => passOn({ incoming, outgoing, target, fault: undefined }));
    } else passOn({ incoming, outgoing, target, fault });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    host: `127.0.0.1:${address.port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

function passOn(exchange: {
  incoming: IncomingMessage;
  outgoing: ServerResponse;
  target: string | undefined;
  fault: Exclude<Fault, { kind: "reset" | "answer" | "wait" }> | undefined;
}): void {
  const { incoming, outgoing, target, fault } = exchange;
  if (target === undefined) throw new Error(`nothing answers ${incoming.method} ${incoming.url}`);
  const { method, url, headers } = incoming;
  const colon = target.lastIndexOf(":");
  const upstream = requestHttp({
    host: target.slice(0, colon),
    port: target.slice(colon + 1),
    method,
    path: url,
    headers,
    agent: false,
  });
  upstream.on("error", () => incoming.socket.destroy());
  upstream.on("response", async (answer) => {
    const pieces: Buffer[] = [];
    for await (const piece of answer) pieces.push(piece);
    let bytes = Buffer.concat(pieces);
    const answerHeaders = { ...answer.headers };
    if (fault?.kind === "change") {
      bytes = Buffer.from(fault.body?.(bytes) ?? bytes);
      if (method !== "HEAD") answerHeaders["content-length"] = String(bytes.length);
      for (const [name, value] of Object.entries(fault.headers ?? {})) {
        if (value === undefined) delete answerHeaders[name];
        else answerHeaders[name] = value;
      }
    }
    outgoing.writeHead(answer.statusCode ?? 500, answerHeaders);
    if (fault?.kind !== "cut-answer") outgoing.end(bytes);
    else
      outgoing.write(bytes.subarray(0, fault.afterBytes), () =>
        setTimeout(() => incoming.socket.destroy(), 50),
      );
  });
  if (fault?.kind !== "cut-request") {
    incoming.pipe(upstream);
    return;
  }
  let left = fault.afterBytes;
  incoming.on("data", (piece: Buffer) => {
    upstream.write(piece.subarray(0, left));
    left -= piece.length;
    if (left > 0) return;
    incoming.removeAllListeners("data").pause();
    // Time for the registry to take in what it has got.
    setTimeout(() => {
      upstream.destroy();
      incoming.socket.destroy();
    }, 200);
  });
}
