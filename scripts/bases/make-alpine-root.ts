import { chmodSync, copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { makeTemporaryDirectories, writeFiles } from "./copy-files.ts";
import { installBusybox } from "./install-busybox.ts";
import { makeApkRepository } from "./make-apk-repository.ts";

const USERS = `\
root:x:0:0:root:/root:/bin/sh
bin:x:1:1:bin:/bin:/sbin/nologin
daemon:x:2:2:daemon:/sbin:/sbin/nologin
mail:x:8:12:mail:/var/mail:/sbin/nologin
guest:x:405:100:guest:/dev/null:/sbin/nologin
nobody:x:65534:65534:nobody:/:/sbin/nologin
`;
const GROUPS = `\
root:x:0:root
bin:x:1:root,bin,daemon
daemon:x:2:root,bin,daemon
sys:x:3:root,bin
adm:x:4:root,daemon
tty:x:5:
disk:x:6:root
mail:x:12:mail
wheel:x:10:root
shadow:x:42:
www-data:x:82:
users:x:100:games
nogroup:x:65533:
nobody:x:65534:
`;
const DIRECTORIES = [
  "dev",
  "home",
  "media",
  "mnt",
  "opt",
  "proc",
  "run",
  "srv",
  "sys",
  "usr/local/bin",
  "usr/local/lib",
  "var/cache/apk",
  "var/lib",
  "var/log",
];
/** Alpine's own numbers: whoever looks for an Alpine finds one. */
const RELEASE = "3.22.0";

/** A busybox root in Alpine's shape, with an `apk` that installs from the image itself. */
export function makeAlpineRoot(packages: string, root: string): void {
  installBusybox(packages, root);
  for (const path of DIRECTORIES) mkdirSync(join(root, path), { recursive: true });
  mkdirSync(join(root, "root"), { mode: 0o700 });
  makeTemporaryDirectories(root, ["tmp", "var/tmp"]);
  const busyboxVersion = /BusyBox v(\S+)/.exec(readFileSync(join(root, "bin/busybox"), "latin1"))?.[1];
  writeFiles(root, {
    "etc/passwd": USERS,
    "etc/group": GROUPS,
    "etc/shadow": "root:*::0:::::\nnobody:!::0:::::\n",
    "etc/shells": "/bin/sh\n/bin/ash\n",
    "etc/profile":
      "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nexport PAGER=less\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n::1\tlocalhost\n",
    "etc/alpine-release": `${RELEASE}\n`,
    "etc/os-release": `NAME="Alpine Linux"\nID=alpine\nVERSION_ID=${RELEASE}\nPRETTY_NAME="slipway's stand-in for Alpine Linux, of Debian packages"\n`,
    "etc/apk/repositories": "/usr/share/apk-offline\n",
    "etc/apk/world": "alpine-baselayout\nbusybox\n",
    "lib/apk/db/installed": `P:alpine-baselayout\nV:${RELEASE}\n\nP:busybox\nV:${busyboxVersion}\n\n`,
  });
  chmodSync(join(root, "etc/shadow"), 0o640);
  makeApkRepository(packages, join(root, "usr/share/apk-offline"), [
    { name: "alpine-baselayout", version: RELEASE, sizeKiB: 8 },
    { name: "busybox", version: busyboxVersion ?? "0", sizeKiB: 2048 },
  ]);
  copyFileSync(join(import.meta.dirname, "apk.sh"), join(root, "sbin/apk"));
  chmodSync(join(root, "sbin/apk"), 0o755);
}

/** For `import --change`. */
export const alpineChanges = [
  "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  'CMD ["/bin/sh"]',
];
