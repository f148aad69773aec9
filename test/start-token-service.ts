import { createPrivateKey, randomUUID, sign } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { TestCertificates } from "./make-certificates.ts";
import { type RunningRegistry, startRegistry } from "./start-registry.ts";

/** What the client sends with the tester's password. */
export const TESTER = `Basic ${Buffer.from("tester:secret").toString("base64")}`;

/** A token service on loopback, whose tokens a registry of `startTokenRegistry` verifies. */
export interface TokenService extends AsyncDisposable {
  readonly realm: string;
  readonly asked: { method: string; scopes: string[]; authorization?: string; form?: string }[];
  /** Said to clients; the tokens themselves live as long as this says, too. */
  lifetimeSeconds: number;
}

/** Gives pull to everybody, push to the tester: by password, or by the refresh token `refresh`. */
export async function startTokenService(certificates: TestCertificates): Promise<TokenService> {
  const asked: TokenService["asked"] = [];
  const service = { lifetimeSeconds: 300 };
  const server = createServer(async (request, response) => {
    const { scopes, isTester, isRefused } = await judge(request, asked);
    if (isRefused)
      return response.writeHead(401).end('{"errors":[{"code":"UNAUTHORIZED","message":"bad password"}]}');
    const token = await makeToken(certificates, {
      scopes,
      isTester,
      lifetimeSeconds: service.lifetimeSeconds,
    });
    return response.end(JSON.stringify({ access_token: token, expires_in: service.lifetimeSeconds }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(service, {
    realm: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    asked,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  });
}

async function judge(request: IncomingMessage, asked: TokenService["asked"]) {
  const form = request.method === "POST" ? await text(request) : undefined;
  const query = new URLSearchParams(form ?? new URL(request.url ?? "", "http://x").search);
  const scopes = query.getAll("scope").flatMap((scope) => scope.split(" "));
  const { authorization } = request.headers;
  asked.push({ method: request.method ?? "", scopes, authorization, form });
  const isTester = authorization === TESTER || query.get("refresh_token") === "refresh";
  return { scopes, isTester, isRefused: !isTester && (authorization !== undefined || form !== undefined) };
}

/** A JSON web token as distribution's token specification wants it, its certificate in the header. */
export async function makeToken(
  certificates: TestCertificates,
  { scopes, isTester, lifetimeSeconds }: { scopes: string[]; isTester: boolean; lifetimeSeconds: number },
): Promise<string> {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const pem = await readFile(certificates.server.certificatePath, "utf8");
  const der = pem.replace(/-----[A-Z ]+-----|\s/g, "");
  const now = Math.floor(Date.now() / 1000);
  const access = scopes
    .filter((scope) => scope !== "")
    .map((scope) => {
      const [type, name, actions = ""] = scope.split(":");
      return { type, name, actions: actions.split(",").filter((action) => isTester || action === "pull") };
    });
  const payload = {
    iss: "test",
    sub: isTester ? "tester" : "",
    aud: "registry",
    exp: now + lifetimeSeconds,
    nbf: now - 10,
    iat: now,
    jti: randomUUID(),
    access,
  };
  const input = `${encode({ typ: "JWT", alg: "ES256", x5c: [der] })}.${encode(payload)}`;
  const key = createPrivateKey(await readFile(certificates.server.keyPath));
  const signature = sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}

/** Debian's registry, which asks for bearer tokens of the service. */
export function startTokenRegistry(
  service: TokenService,
  certificates: TestCertificates,
): Promise<RunningRegistry> {
  return startRegistry({
    token: {
      realm: service.realm,
      service: "registry",
      issuer: "test",
      rootCertificatePath: certificates.authority,
    },
  });
}
