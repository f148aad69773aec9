import { globSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { copyFiles, makeTemporaryDirectories, writeFiles } from "./copy-files.ts";
import { installBusybox } from "./install-busybox.ts";

/** Debian's Go and the sources of golang.org/x/{net,text,sys}, in the places where the golang image has them. */
export function makeGolangRoot(packages: string, root: string): void {
  const paths = globSync(
    [
      "lib/*-linux-gnu*",
      "lib64",
      "etc/ssl",
      "usr/bin/{go,gofmt}",
      "usr/lib/go",
      "usr/lib/go-*",
      "usr/share/go",
      "usr/share/go-*",
      "usr/share/gocode",
    ],
    { cwd: packages },
  );
  copyFiles(paths, packages, root);
  installBusybox(packages, root);
  for (const path of ["go/src", "go/bin", "proc", "sys", "dev", "run", "usr/local"]) {
    mkdirSync(join(root, path), { recursive: true });
  }
  makeTemporaryDirectories(root, ["tmp", "var/tmp"]);
  mkdirSync(join(root, "root"), { mode: 0o700 });
  symlinkSync("/usr/lib/go", join(root, "usr/local/go"));
  writeFiles(root, {
    "etc/passwd":
      "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/os-release":
      'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="slipway\'s stand-in for golang, of Debian packages"\n',
  });
}

/** For `import --change`. Without cgo: the stand-in has no C compiler. */
export const golangChanges = [
  "ENV GO111MODULE=off",
  "ENV GOPATH=/go:/usr/share/gocode",
  "ENV CGO_ENABLED=0",
  "ENV PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  "WORKDIR /go",
  'CMD ["/bin/sh"]',
];
