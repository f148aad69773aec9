import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { findMissingPackages } from "../scripts/install-packages.ts";
import { basePackages, makeBaseTars } from "../scripts/make-base-images.ts";
import { runCommand } from "./slipway.ts";

/** The stand-ins are tested where nothing of slipway takes part: in a chroot. */
const missing = findMissingPackages(basePackages);
const skip =
  process.getuid?.() !== 0
    ? "needs root, for chroot"
    : missing.length > 0 && `these Debian packages are missing: ${missing.join(" ")}`;

let work: string;
const roots = new Map<string, string>();

before(async () => {
  if (skip) return;
  work = mkdtempSync(join(tmpdir(), "slipway-bases-"));
  for (const { name, tarPath } of await makeBaseTars()) {
    const root = join(work, name.replace(":", "-"));
    mkdirSync(root);
    execFileSync("tar", ["-x", "-p", "-f", tarPath, "-C", root]);
    roots.set(name, root);
  }
});
after(() => {
  if (work) rmSync(work, { recursive: true, force: true });
});

/** Runs a shell line in the image, with its environment but without a network. */
async function runIn(name: string, line: string) {
  const image = (await makeBaseTars()).find((image) => image.name === name)!;
  const env = image.changes.flatMap((change) => (change.startsWith("ENV ") ? [change.slice(4)] : []));
  const script = 'mount --bind /dev "$1/dev" && mount -t proc proc "$1/proc" && shift && exec chroot "$@"';
  const namespaces = ["--mount", "--net", "--pid", "--fork", "--kill-child"];
  const root = roots.get(name)!;
  const command = [root, root, "/bin/busybox", "env", "-i", "HOME=/root", ...env, "/bin/sh", "-c", line];
  return runCommand("unshare", [...namespaces, "sh", "-c", script, "-", ...command]);
}

test("golang: go get finds golang.org/x/net offline, and go build makes a static program", {
  skip,
}, async () => {
  const root = roots.get("golang:1.7.3")!;
  const directory = "go/src/github.com/example/href-counter";
  mkdirSync(join(root, directory), { recursive: true });
  cpSync(resolve(import.meta.dirname, "../examples/1-numbered/app.go"), join(root, directory, "app.go"));
  const result = await runIn(
    "golang:1.7.3",
    `cd /${directory} && go get -d -v golang.org/x/net/html && CGO_ENABLED=0 GOOS=linux go build -a -installsuffix cgo -o app .`,
  );
  assert.equal(result.code, 0, result.stderr);
  // Runs where there is no libc: on the host, whatever that is.
  const app = await runCommand(join(root, directory, "app"), [], { env: { url: undefined } });
  assert.equal(app.code, 2);
  assert.match(app.stderr, /url/);
});

test("alpine: has the modes and accounts of an Alpine root", { skip }, () => {
  const root = roots.get("alpine:latest")!;
  const mode = (path: string) => (statSync(join(root, path)).mode & 0o7777).toString(8);
  assert.equal(mode("tmp"), "1777");
  assert.equal(mode("root"), "700");
  assert.equal(mode("etc"), "755");
  assert.match(readFileSync(join(root, "etc/passwd"), "utf8"), /^nobody:x:65534:65534:/m);
  assert.match(readFileSync(join(root, "etc/group"), "utf8"), /^nobody:x:65534:/m);
  assert.match(readFileSync(join(root, "etc/alpine-release"), "utf8"), /^\d+\.\d+\.\d+\n$/);
});

test("alpine: apk add installs ca-certificates, once", { skip }, async () => {
  const first = await runIn("alpine:latest", "apk --no-cache add ca-certificates");
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stdout, /^\(1\/1\) Installing ca-certificates \(\d+.*\)\nOK: \d+ MiB in 3 packages\n$/);
  const bundle = join(roots.get("alpine:latest")!, "etc/ssl/certs/ca-certificates.crt");
  assert.ok(readFileSync(bundle, "utf8").split("BEGIN CERTIFICATE").length > 100);

  const second = await runIn("alpine:latest", "apk add --update ca-certificates");
  assert.equal(second.code, 0, second.stderr);
  assert.doesNotMatch(second.stdout, /Installing/);
});

test("alpine: apk add of an unknown package fails in apk's words and installs nothing", {
  skip,
}, async () => {
  const result = await runIn("alpine:latest", "apk --no-cache add make no-such-thing");
  assert.equal(result.code, 1);
  assert.match(
    result.stderr,
    /^ERROR: unable to select packages:\n {2}no-such-thing \(no such package\):\n {4}required by: world\[no-such-thing\]\n$/,
  );
  assert.equal((await runIn("alpine:latest", "apk info -e make")).code, 1);
});

test("alpine: build-base compiles C++ and C, and apk del takes a group away again", { skip }, async () => {
  const root = roots.get("alpine:latest")!;
  writeFileSync(join(root, "hello.cpp"), '#include <iostream>\nint main() { std::cout << "C++\\n"; }\n');
  writeFileSync(join(root, "hello.c"), '#include <stdio.h>\nint main(void) { puts("C"); return 0; }\n');
  const added = await runIn(
    "alpine:latest",
    "apk add --no-cache --virtual .build build-base && g++ -o /hello-c++ /hello.cpp && gcc -static -o /hello-c /hello.c && /hello-c++ && /hello-c",
  );
  assert.equal(added.code, 0, added.stderr);
  assert.match(added.stdout, /C\+\+\nC\n$/);

  const deleted = await runIn("alpine:latest", "apk del .build && apk info && /hello-c; ls /usr/bin/g++");
  assert.match(deleted.stdout, /Purging gcc/);
  assert.match(deleted.stdout, /packages\nalpine-baselayout\nbusybox\nca-certificates\nC\n$/);
  assert.match(deleted.stderr, /\/usr\/bin\/g\+\+: No such file/);
});

test("nginx: has the configuration that examples copy", { skip }, () => {
  assert.match(readFileSync(join(roots.get("nginx:latest")!, "etc/nginx/nginx.conf"), "utf8"), /^http \{/m);
});
