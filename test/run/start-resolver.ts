import { createSocket } from "node:dgram";
import { once } from "node:events";

/** A resolver on port 53 of an address, for which every name has the same IPv4 address. */
export async function startResolver(at: string, address: readonly number[]): Promise<AsyncDisposable> {
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => {
    // RFC 1035, 4.1: the question ends four bytes after its name; type 1 is A.
    const end = query.indexOf(0, 12) + 5;
    const isAddress = query.readUInt16BE(end - 4) === 1;
    const header = Buffer.from([...query.subarray(0, 2), 0x81, 0x80, 0, 1, 0, isAddress ? 1 : 0, 0, 0, 0, 0]);
    const record = isAddress ? [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address] : [];
    socket.send(
      Buffer.concat([header, query.subarray(12, end), Buffer.from(record)]),
      from.port,
      from.address,
    );
  });
  socket.bind(53, at);
  await once(socket, "listening");
  return {
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, "close");
    },
  };
}
