import { copyFiles, writeFiles } from "./copy-files.ts";

/** The configuration and the start page of Debian's nginx, for examples that copy from it: no server to run. */
export function makeNginxRoot(packages: string, root: string): void {
  copyFiles(["etc/nginx", "usr/share/nginx"], packages, root);
  writeFiles(root, {
    "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\nnginx:x:101:101:nginx:/nonexistent:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnginx:x:101:\n",
  });
}

/** For `import --change`. */
export const nginxChanges = [
  "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  "EXPOSE 80",
];
