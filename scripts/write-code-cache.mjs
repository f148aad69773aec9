// Makes dist/cli.code and dist/undici.code: what V8 compiles of the bundle and of the HTTP client for an unchanged build and a push. bin/slipway.cjs gives it
// back to V8.
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "slipway-code-"));
const registry = createServer(answer).listen(0, "127.0.0.1");
try {
  const port = await once(registry, "listening").then(
    () => registry.address().port,
    () => undefined,
  );
  const lines = [
    "FROM scratch AS build",
    "COPY a /a",
    "FROM scratch",
    "COPY --from=build /a /b",
    'CMD ["/b"]',
  ];
  writeFileSync(join(directory, "Dockerfile"), `${lines.join("\n")}\n`);
  writeFileSync(join(directory, "a"), "a");
  const tag = `127.0.0.1:${port ?? 1}/a:1`;
  const build = ["build", "--progress=plain", "-t", tag, directory];
  await run(build);
  const keeping = `--require=${join(root, "scripts/keep-code.cjs")}`;
  await run(build, keeping);
  // Where it cannot be, a push compiles what it needs.
  if (port !== undefined) await run(["push", tag], keeping).catch(() => {});
} finally {
  registry.close();
  rmSync(directory, { recursive: true, force: true });
}

function run(args, nodeOptions = "") {
  return promisify(execFile)(join(root, "bin/slipway"), ["--root", join(directory, "store"), ...args], {
    env: { ...process.env, NODE_OPTIONS: nodeOptions, no_proxy: "127.0.0.1" },
  });
}

/** As a registry does that has every blob. */
function answer(request, response) {
  request.resume();
  request.on("end", () => {
    response.writeHead(request.method === "PUT" ? 201 : 200).end();
  });
}
