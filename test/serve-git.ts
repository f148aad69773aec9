import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const BACKEND = "/usr/lib/git-core/git-http-backend";

/** For `test(name, { skip: gitMissing })`. */
export const gitMissing: string | false =
  existsSync("/usr/bin/git") && existsSync(BACKEND) ? false : "git is missing (apt-get install git)";

/** Runs git for a test, with no settings of whoever runs it. */
export function git(directory: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync("git", args, {
    cwd: directory,
    encoding: "utf8",
    env: {
      PATH: process.env.PATH,
      HOME: "/nonexistent",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_AUTHOR_NAME: "a",
      GIT_AUTHOR_EMAIL: "a@example.com",
      GIT_COMMITTER_NAME: "a",
      GIT_COMMITTER_EMAIL: "a@example.com",
      GIT_AUTHOR_DATE: "2020-01-02T03:04:05Z",
      GIT_COMMITTER_DATE: "2020-01-02T03:04:05Z",
      GIT_CONFIG_COUNT: "2",
      GIT_CONFIG_KEY_0: "protocol.file.allow",
      GIT_CONFIG_VALUE_0: "always",
      GIT_CONFIG_KEY_1: "init.defaultBranch",
      GIT_CONFIG_VALUE_1: "main",
    },
  });
  if (status !== 0) throw new Error(`git ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}

export interface GitServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly host: string;
  /** Method and path of every request so far, with its Authorization if it has one. */
  readonly requests: readonly { readonly path: string; readonly authorization: string | undefined }[];
}

/** Serves the repositories in a directory with git's own http backend. `refuse` may give a status in place of an answer. */
export async function serveGit(
  directory: string,
  refuse: (request: {
    path: string;
    authorization: string | undefined;
  }) => { status: number; location?: string } | undefined = () => undefined,
): Promise<GitServer> {
  const requests: { path: string; authorization: string | undefined }[] = [];
  const server = createServer((incoming, outgoing) => {
    const { authorization } = incoming.headers;
    const path = incoming.url ?? "/";
    requests.push({ path, authorization });
    const refused = refuse({ path, authorization });
    if (refused !== undefined) {
      incoming.resume();
      outgoing
        .writeHead(refused.status, refused.location === undefined ? {} : { location: refused.location })
        .end();
      return;
    }
    const [pathname = "", query = ""] = path.split("?");
    const {
      "git-protocol": protocol = "",
      "content-type": type = "",
      "content-encoding": encoding = "",
    } = incoming.headers;
    const backend = spawn(BACKEND, {
      env: {
        PATH: process.env.PATH,
        GIT_PROJECT_ROOT: directory,
        GIT_HTTP_EXPORT_ALL: "1",
        PATH_INFO: pathname,
        QUERY_STRING: query,
        REQUEST_METHOD: incoming.method,
        CONTENT_TYPE: type,
        HTTP_CONTENT_ENCODING: encoding as string,
        GIT_PROTOCOL: protocol as string,
        GIT_CONFIG_COUNT: "1",
        GIT_CONFIG_KEY_0: "safe.directory",
        GIT_CONFIG_VALUE_0: "*",
      },
      stdio: ["pipe", "pipe", "ignore"],
    });
    backend.stdin.on("error", () => {});
    incoming.pipe(backend.stdin);
    const pieces: Buffer[] = [];
    backend.stdout.on("data", (piece) => pieces.push(piece));
    backend.on("close", () => {
      const answer = Buffer.concat(pieces);
      const split = answer.indexOf("\r\n\r\n");
      const headers = answer.subarray(0, split).toString("latin1").split("\r\n");
      let status = 200;
      for (const header of headers) {
        const [name = "", value = ""] = header.split(/: (.*)/s);
        if (name.toLowerCase() === "status") status = Number.parseInt(value, 10);
        else if (name !== "") outgoing.setHeader(name, value);
      }
      outgoing.writeHead(status).end(answer.subarray(split + 4));
    });
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
