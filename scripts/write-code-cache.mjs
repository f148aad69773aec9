// Makes dist/cli.code: what V8 compiles of dist/cli.cjs for an unchanged build. bin/slipway.cjs gives it back to V8.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "slipway-code-"));
try {
  const lines = [
    "FROM scratch AS build",
    "COPY a /a",
    "FROM scratch",
    "COPY --from=build /a /b",
    'CMD ["/b"]',
  ];
  writeFileSync(join(directory, "Dockerfile"), `${lines.join("\n")}\n`);
  writeFileSync(join(directory, "a"), "a");
  const args = ["--root", join(directory, "store"), "build", "--progress=plain", "-t", "a", directory];
  const build = (nodeOptions) =>
    execFileSync(join(root, "bin/slipway"), args, {
      env: { ...process.env, NODE_OPTIONS: nodeOptions },
      stdio: ["ignore", "ignore", "pipe"],
      encoding: "utf8",
    });
  build("");
  build(`--require=${join(root, "scripts/keep-code.cjs")}`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
