import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { serveFiles } from "../../test/serve-files.ts";
import { BuildError } from "../errors/build-error.ts";
import { DEFAULT_LIMITS } from "../errors/input-limits.ts";
import { HttpConnections } from "../registry/http-connections.ts";
import { openStore, type Store } from "../store/open-store.ts";
import { type DownloadContext, download } from "./download.ts";

const sha256 = (bytes: Uint8Array | string) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const FILE = "downloaded\n";
/** Written down by hand, so that the file's digest is known to be right. */
const FILE_DIGEST = "sha256:30031a9831674dd684c3817399acebc88a116ce5a7a3fbc0cf34d92521a534e6";

let root: string;
let store: Store;
let connections: HttpConnections;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "slipway-download-"));
  store = openStore(root);
  connections = new HttpConnections({});
});
afterEach(async () => {
  await connections[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
});

function context(more: Partial<DownloadContext> = {}): DownloadContext {
  return {
    store,
    connections,
    secrets: new Map(),
    limits: { ...DEFAULT_LIMITS, "download-size": 1 << 20 },
    retries: { count: 2, delayMs: 1 },
    ...more,
  };
}

const secret = (name: string, value: string) => new Map([[name, Buffer.from(value)]]);

test("a download is a blob, and its time is that of Last-Modified", async () => {
  await using server = await serveFiles((_, response) => {
    response.setHeader("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT");
    response.end(FILE);
  });
  const found = await download(context(), { url: `${server.url}/a` });
  assert.equal(found.digest, FILE_DIGEST);
  assert.equal(readFileSync(found.filePath, "utf8"), FILE);
  assert.equal(found.sizeBytes, 11);
  assert.equal(found.mtime, 1445412480);
  assert.deepEqual(readdirSync(store.temporaryDirectory), []);
});

test("without Last-Modified, or with one that is no date, the time is 0", async () => {
  await using server = await serveFiles(({ path }, response) => {
    if (path === "/odd") response.setHeader("last-modified", "yesterday");
    response.end(FILE);
  });
  assert.equal((await download(context(), { url: `${server.url}/a` })).mtime, 0);
  assert.equal((await download(context(), { url: `${server.url}/odd` })).mtime, 0);
});

test("what was downloaded is asked about by its ETag, and used again when it is still so", async () => {
  let text = FILE;
  await using server = await serveFiles(({ headers }, response) => {
    const etag = `"${text.length}"`;
    response.setHeader("etag", etag);
    if (headers["if-none-match"] === etag) response.writeHead(304).end();
    else response.end(text);
  });
  const url = `${server.url}/a`;
  const first = await download(context(), { url });
  assert.deepEqual(await download(context(), { url }), first);
  assert.equal(server.requests[1]!.headers["if-none-match"], '"11"');
  text = "something else";
  assert.equal((await download(context(), { url })).digest, sha256(text));
});

test("where there is no ETag, Last-Modified does", async () => {
  await using server = await serveFiles(({ headers }, response) => {
    response.setHeader("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT");
    if (headers["if-modified-since"]) response.writeHead(304).end();
    else response.end(FILE);
  });
  const url = `${server.url}/a`;
  const first = await download(context(), { url });
  assert.deepEqual(await download(context(), { url }), first);
  assert.equal(server.requests[1]!.headers["if-modified-since"], "Wed, 21 Oct 2015 07:28:00 GMT");
});

test("a server that answers 200 with the same ETag is not read again", async () => {
  let served = FILE;
  await using server = await serveFiles((_, response) => {
    response.setHeader("etag", '"same"');
    response.end(served);
  });
  const url = `${server.url}/a`;
  await download(context(), { url });
  served = "this was not read";
  assert.equal((await download(context(), { url })).digest, FILE_DIGEST);
});

test("a blob that was pruned is downloaded again", async () => {
  await using server = await serveFiles(({ headers }, response) => {
    response.setHeader("etag", '"1"');
    if (headers["if-none-match"]) response.writeHead(304).end();
    else response.end(FILE);
  });
  const url = `${server.url}/a`;
  rmSync((await download(context(), { url })).filePath);
  assert.equal(readFileSync((await download(context(), { url })).filePath, "utf8"), FILE);
});

test("a checksum is verified, and what has it is not asked for again", async () => {
  await using server = await serveFiles((_, response) => response.end(FILE));
  const url = `${server.url}/a`;
  const wrong = `sha256:${"0".repeat(64)}`;
  await assert.rejects(download(context(), { url, checksum: wrong }), {
    code: "verification",
    message: `Cannot use "${url}": digest mismatch, it is ${FILE_DIGEST} and should be ${wrong}`,
  });
  await download(context(), { url, checksum: FILE_DIGEST });
  const asked = server.requests.length;
  await download(context(), { url, checksum: FILE_DIGEST });
  assert.equal(server.requests.length, asked);
});

test("secrets make the Authorization header: a host's own before those for all", async () => {
  await using server = await serveFiles(({ headers }, response) => response.end(headers.authorization ?? ""));
  const url = `${server.url}/a`;
  const send = async (secrets: DownloadContext["secrets"], address = url) =>
    readFileSync((await download(context({ secrets }), { url: address })).filePath, "utf8");
  assert.equal(await send(secret("HTTP_AUTH_TOKEN", "t\n")), "Bearer t");
  assert.equal(await send(secret("HTTP_AUTH_HEADER", "Digest abc")), "Digest abc");
  assert.equal(await send(secret(`HTTP_AUTH_TOKEN.${server.host}`, "t")), "Bearer t");
  assert.equal(await send(secret("HTTP_AUTH_TOKEN.127.0.0.1", "t")), "Bearer t");
  assert.equal(await send(secret("HTTP_AUTH_TOKEN.example.com", "t")), "");
  const both = new Map([
    ...secret("HTTP_AUTH_HEADER", "all"),
    ...secret(`HTTP_AUTH_TOKEN.${server.host}`, "own"),
  ]);
  assert.equal(await send(both), "Bearer own");
  // RFC 7617, 2: user "Aladdin", password "open sesame".
  assert.equal(
    await send(new Map(), url.replace("http://", "http://Aladdin:open%20sesame@")),
    "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
  );
  // A secret cannot bring in a header of its own.
  assert.equal(await send(secret("HTTP_AUTH_HEADER", "Basic a\r\nX-Evil: 1")), "Basic a X-Evil: 1");
});

test("redirects are followed, and no other host sees the credentials", async () => {
  await using other = await serveFiles(({ headers }, response) =>
    response.end(headers.authorization ?? "none"),
  );
  await using server = await serveFiles(({ path, headers }, response) => {
    if (path === "/away") response.writeHead(302, { location: `${other.url}/b` }).end();
    else if (path === "/here") response.writeHead(307, { location: "/b" }).end();
    else response.end(headers.authorization ?? "none");
  });
  const secrets = secret("HTTP_AUTH_TOKEN", "t");
  const read = async (path: string) =>
    readFileSync((await download(context({ secrets }), { url: `${server.url}${path}` })).filePath, "utf8");
  assert.equal(await read("/away"), "none");
  assert.equal(await read("/here"), "Bearer t");
});

test("redirects that lead nowhere, round in a circle or to a file are errors", async () => {
  await using server = await serveFiles(({ path }, response) =>
    response.writeHead(302, { location: path === "/file" ? "file:///etc/passwd" : path }).end(),
  );
  await assert.rejects(download(context(), { url: `${server.url}/round` }), /redirects more than 10 times/);
  await assert.rejects(
    download(context(), { url: `${server.url}/file` }),
    /redirects to "file:\/\/\/etc\/passwd", which is no HTTP address/,
  );
});

test("a connection that breaks goes on where it broke, if the file is still the same", async () => {
  const bytes = Buffer.alloc(300_000, "0123456789");
  await using server = await serveFiles(({ headers }, response) => {
    const start = Number(/^bytes=(\d+)-/.exec(headers.range ?? "")?.[1] ?? 0);
    if (start === 0) {
      response.writeHead(200, { etag: '"1"', "content-length": bytes.length });
      response.write(bytes.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 50));
      return;
    }
    assert.equal(headers["if-range"], '"1"');
    const rest = bytes.subarray(start);
    const range = `bytes ${start}-${bytes.length - 1}/${bytes.length}`;
    response.writeHead(206, { etag: '"1"', "content-range": range, "content-length": rest.length }).end(rest);
  });
  const found = await download(context(), { url: `${server.url}/a` });
  assert.equal(found.digest, sha256(bytes));
  assert.equal(server.requests.length, 2);
});

test("a server that closes the connection while much of a file is not read yet", async () => {
  // HTTP client libraries stop reading the connection until what they hold is taken; the end of the connection comes all the same.
  const bytes = Buffer.alloc(900_000, "0123456789");
  for (const headers of [{ "content-length": bytes.length }, {}]) {
    await using server = await serveFiles((_, response) => {
      response.writeHead(200, { connection: "close", ...headers }).end(bytes);
    });
    for (let count = 0; count < 30; count++) {
      const found = await download(context(), { url: `${server.url}/${count}` });
      assert.equal(found.sizeBytes, bytes.length);
    }
  }
});

test("a file that changed while it was downloaded is read from its beginning", async () => {
  const bytes = Buffer.alloc(200_000, "new");
  let count = 0;
  await using server = await serveFiles((_, response) => {
    if (count++ === 0) {
      response.writeHead(200, { etag: '"1"', "content-length": 300_000 });
      response.write(Buffer.alloc(100_000), () => setTimeout(() => response.destroy(), 50));
    } else response.writeHead(200, { etag: '"2"' }).end(bytes);
  });
  assert.equal((await download(context(), { url: `${server.url}/a` })).digest, sha256(bytes));
});

test("a connection that always breaks, or goes on with an error, is an error, and leaves nothing", async () => {
  await using server = await serveFiles(({ path, headers }, response) => {
    if (headers.range !== undefined && path === "/416") response.writeHead(416).end("not a part of the file");
    else {
      response.writeHead(200, { etag: '"1"', "content-length": 1000 });
      response.write("abc", () => setTimeout(() => response.destroy(), 20));
    }
  });
  await assert.rejects(download(context(), { url: `${server.url}/a` }), {
    code: "fetch-failed",
    message: /^Cannot download "http:.*": the connection to 127.0.0.1:\d+ failed: /,
  });
  await assert.rejects(
    download(context(), { url: `${server.url}/416` }),
    /answered 416 Range Not Satisfiable/,
  );
  assert.deepEqual(readdirSync(store.temporaryDirectory), []);
});

test("a file above the limit is refused by its length, and by its bytes where there is none", async () => {
  await using server = await serveFiles(({ path }, response) => {
    if (path === "/length") response.setHeader("content-length", 2 << 20);
    for (let n = 0; n < 32; n++) response.write(Buffer.alloc(64 << 10));
    response.end();
  });
  for (const path of ["/length", "/endless"]) {
    await assert.rejects(download(context(), { url: `${server.url}${path}` }), {
      code: "input-limit",
      message: /larger than the limit of 1 MiB \(download-size\)$/,
    });
  }
  assert.deepEqual(readdirSync(store.temporaryDirectory), []);
});

test("statuses are told, with what to do about them, and without what the URL hides", async () => {
  await using server = await serveFiles(({ path }, response) =>
    response.writeHead(path.startsWith("/secret") ? 401 : 404).end(),
  );
  await assert.rejects(download(context(), { url: `${server.url}/none` }), {
    code: "fetch-failed",
    message: `Cannot download "${server.url}/none": ${server.host} answered 404 Not Found`,
  });
  const hidden = `http://me:hunter2@${server.host}/secret?signature=hunter3`;
  await assert.rejects(download(context(), { url: hidden }), (error) => {
    assert.ok(error instanceof BuildError);
    assert.equal(
      error.message,
      `Cannot download "${server.url}/secret?...": ${server.host} answered 401 Unauthorized`,
    );
    assert.match(error.hint ?? "", /--secret id=HTTP_AUTH_TOKEN\.127\.0\.0\.1:\d+,/);
    return true;
  });
});

test("a server that is not there is named", async () => {
  await assert.rejects(download(context(), { url: "http://127.0.0.1:9/none" }), {
    code: "fetch-failed",
    message: 'Cannot download "http://127.0.0.1:9/none": 127.0.0.1:9 refuses the connection',
  });
});

test("a proxy is asked where the environment names one", async () => {
  await using proxy = await serveFiles(({ path }, response) => response.end(path));
  await using through = new HttpConnections({ http_proxy: proxy.url });
  const found = await download(context({ connections: through }), { url: "http://files.invalid/a" });
  assert.equal(readFileSync(found.filePath, "utf8"), "http://files.invalid/a");
});

test("an aborted download ends with the signal's reason", async () => {
  const stop = new AbortController();
  await using server = await serveFiles((_, response) => {
    response.write("abc", () => setTimeout(() => stop.abort(new Error("enough")), 20));
  });
  await assert.rejects(
    download(context(), { url: `${server.url}/a`, signal: stop.signal }),
    /^Error: enough$/,
  );
});
