import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { archiveLayout, writeLayeredLayout } from "../layered-image.ts";
import { isDockerExported, listDockerFiles } from "../list-docker-files.ts";
import { assertSameFiles, listTar } from "../list-tar.ts";
import type { MemberLike } from "../make-layers.ts";
import { dockerMissing, type RunningDocker, startDocker } from "../start-docker.ts";

/** `cap_net_bind_service+ep`, as `struct vfs_ns_cap_data` of version 2. */
const CAPABILITY = Buffer.from("0100000200040000000000000000000000000000", "hex");
const link = (name: string, linkName: string): MemberLike => ({
  name,
  type: "symlink",
  linkName,
  mode: 0o777,
});

interface ForeignTrap {
  /** Bottom first. */
  readonly layers: readonly (readonly MemberLike[])[];
  /** What docker's listing must have, as a check of the test itself; times left out. */
  readonly shows: readonly string[];
  /** Nothing that a RUN sees: `cp` knows no such thing. */
  readonly isUnseen?: boolean;
}

/** Layers that others made, with what is easily got wrong. */
const FOREIGN: Readonly<Record<string, ForeignTrap>> = {
  "trap: parents that a layer does not list": {
    layers: [
      [
        { name: "root/", mode: 0o700 },
        { name: "tmp/", mode: 0o1777 },
        { name: "srv/", mode: 0o711, uid: 3, gid: 4 },
      ],
      [{ name: "root/.profile" }, { name: "tmp/x" }, { name: "srv/x" }],
    ],
    shows: [" root/ drwx------ 0/0 0", " tmp/ drwxrwxrwt 0/0 0", " srv/ drwx--x--x 3/4 0"],
  },
  "trap: a component that is a symlink below": {
    layers: [
      [
        { name: "usr/" },
        { name: "usr/lib/", mode: 0o711 },
        { name: "usr/lib/old" },
        link("lib", "usr/lib"),
        link("absolute", "/usr/lib"),
      ],
      [{ name: "lib/x" }, { name: "absolute/y" }],
    ],
    shows: [
      " lib -> usr/lib lrwxrwxrwx 0/0 0",
      " usr/lib/x -rw-r--r-- 0/0 0",
      " usr/lib/y -rw-r--r-- 0/0 0",
      " usr/lib/old -rw-r--r-- 0/0 0",
    ],
  },
  "trap: a hard link into a lower layer": {
    layers: [
      [{ name: "a", content: "A", mode: 0o640, uid: 1, gid: 2 }],
      [{ name: "z", type: "hardlink", linkName: "a", mode: 0o640, uid: 1, gid: 2 }],
    ],
    shows: [" z -rw-r----- 1/2 1"],
  },
  "trap: whiteouts and opaque markers anywhere": {
    layers: [
      [
        { name: "gone", content: "hidden" },
        { name: "o/" },
        { name: "o/old", content: "hidden" },
        { name: "o/d/" },
        { name: "o/d/old", content: "hidden" },
        { name: "p/" },
        { name: "p/old", content: "hidden" },
      ],
      [
        { name: "o/d/" },
        { name: "o/d/new" },
        { name: "o/new" },
        { name: "o/.wh..wh..opq" },
        { name: "p/.wh..wh..opq" },
        { name: "p/new" },
        { name: "q" },
        { name: ".wh.gone" },
      ],
    ],
    shows: [" o/d/new -rw-r--r-- 0/0 0", " o/new -rw-r--r-- 0/0 0", " p/new -rw-r--r-- 0/0 0"],
  },
  "trap: a path that changes its type": {
    layers: [
      [
        { name: "f", content: "was a file" },
        { name: "d/" },
        { name: "d/x", content: "hidden" },
        link("l", "d"),
        { name: "to-link/" },
        { name: "to-link/x", content: "hidden" },
      ],
      [
        { name: "f/" },
        { name: "f/y" },
        { name: "d", content: "is a file" },
        { name: "l/" },
        { name: "l/z" },
        link("to-link", "f"),
      ],
    ],
    shows: [
      " d -rw-r--r-- 0/0 9",
      " f/y -rw-r--r-- 0/0 0",
      " l/z -rw-r--r-- 0/0 0",
      " to-link -> f lrwxrwxrwx 0/0 0",
    ],
  },
  "trap: owner, mode, capabilities and time, in this order": {
    layers: [
      [
        {
          name: "f",
          content: "f",
          mode: 0o6755,
          uid: 7,
          gid: 8,
          mtime: 77,
          xattrs: { "security.capability": CAPABILITY },
        },
        { name: "d/", mode: 0o3775, uid: 7, gid: 8 },
        { name: "d/x", mode: 0o2711, gid: 9 },
      ],
    ],
    shows: [" f -rwsr-sr-x 7/8 1", " f has security.capability of 20 bytes", " d/ drwxrwsr-t 7/8 0"],
  },
  "trap: the last header of a hard link's names": {
    layers: [
      [
        { name: "f", content: "f", mode: 0o4755, uid: 1, xattrs: { "security.capability": CAPABILITY } },
        { name: "a", type: "hardlink", linkName: "f", mode: 0o640, uid: 5, gid: 6, mtime: 50, xattrs: {} },
        { name: "g", content: "g", uid: 1 },
        {
          name: "h",
          type: "hardlink",
          linkName: "g",
          uid: 0,
          mode: 0o755,
          xattrs: { "security.capability": CAPABILITY },
        },
        link("s", "f"),
        { name: "t", type: "hardlink", linkName: "s", uid: 9, mode: 0o600 },
      ],
    ],
    shows: [" a -rw-r----- 5/6 1", " f -rw-r----- 5/6 1", " g -rwxr-xr-x 0/0 1"],
  },
  "trap: a device 0:0 in an archive is no whiteout": {
    layers: [[{ name: "d/" }, { name: "d/zero", type: "char", mode: 0o600 }]],
    shows: [" d/zero crw------- 0/0 0,0"],
    isUnseen: true,
  },
};

/** What slipway makes over busybox, where somebody else reads it. */
const OWN: Readonly<Record<string, readonly string[]>> = {
  "trap: parents of what a COPY or a RUN adds": [
    "RUN mkdir -m 711 /srv && chown 3:4 /srv",
    "COPY f /root/x",
    "COPY f /tmp/x",
    "COPY f /srv/new/x",
    "RUN touch /root/y /tmp/y /srv/y",
  ],
  "trap: a destination through symlinks": [
    "RUN mkdir -p /usr/lib && ln -s usr/lib /lib && ln -s /usr/lib /absolute",
    "COPY f /lib/x",
    "COPY f /absolute/new/x",
    "RUN echo y >/lib/y",
  ],
  "trap: a hard link to a file of the base": ["RUN ln /bin/busybox /linked"],
  "trap: a directory that is made again, and what is gone": [
    "RUN mkdir -p /d/e && touch /d/old /d/e/old /gone",
    "RUN rm -r /d /gone && mkdir -p /d/e && touch /d/new /d/e/new",
  ],
  "trap: types that change in a RUN": [
    "RUN mkdir /d /l && touch /d/old /l/old /f",
    "RUN rm -r /d /l /f && touch /d && ln -s d /l && mkdir /f && touch /f/new",
  ],
  "trap: owner, mode and capabilities of a COPY": [
    "COPY --from=capable:1 /f /kept",
    "COPY --from=capable:1 --chown=9:10 /f /owned",
    "COPY --from=capable:1 --chown=9:10 --chmod=4711 /f /changed",
  ],
  "trap: a mode that a RUN changes takes the whole file along": [
    "RUN chmod 4711 /bin/busybox && chown 5:6 /etc/passwd && touch -d @1000000000 /etc/group",
  ],
  "trap: WORKDIR makes what is missing, VOLUME nothing": [
    "USER 7:8",
    "WORKDIR /a/b",
    "WORKDIR /",
    "VOLUME /volume",
  ],
};

/** The other half of the traps: what no engine can be asked. */
const ELSEWHERE: Readonly<Record<string, readonly [file: string, name: string]>> = {
  "overlay attributes and devices 0:0 of an upper directory": [
    "src/rootfs/index-upper-directory.test.ts",
    "indexUpperDirectory() reads an upper directory",
  ],
  "what the kernel's own overlay leaves": [
    "src/rootfs/index-upper-directory.test.ts",
    "indexUpperDirectory() reads what the kernel's overlay writes",
  ],
  "mount options: a host whose default is metacopy": [
    "src/rootfs/index-upper-directory.test.ts",
    "indexUpperDirectory() refuses what an overlay with metacopy wrote",
  ],
  "times cut to the second, pax records only where they are needed": [
    "src/rootfs/tar.test.ts",
    "encodeTarMember writes pax records only where a value needs one",
  ],
  "the same tar gives the same diff ID, and the same bytes for any number of threads": [
    "src/rootfs/layer-work.test.ts",
    "a layer goes in and out again in worker threads, the same for any number of them",
  ],
  "form of a layer at its place in a chain": [
    "src/rootfs/materialise-layer.test.ts",
    "trap: what lies under a lower layer's symlink is written where it leads",
  ],
};

describe("traps: what a tree must be, docker says", {
  skip: runMissing || dockerMissing,
  timeout: 1_200_000,
}, () => {
  let bench: BuildBench;
  let docker: RunningDocker;
  let count = 0;
  before(async () => {
    bench = await openBuildBench();
    docker = await startDocker({ storageDriver: "vfs" });
    await loadLayers("capable", FOREIGN["trap: owner, mode, capabilities and time, in this order"]!.layers);
  });
  after(async () => {
    await docker?.[Symbol.asyncDispose]();
    bench?.[Symbol.dispose]();
  });

  for (const [name, { layers, shows, isUnseen }] of Object.entries(FOREIGN)) {
    it(name, async () => {
      const image = `foreign-${count++}`;
      const archive = await loadLayers(image, layers);
      await docker.run(["load", "-i", archive]);
      const expected = comparable(await listDockerFiles(docker, `${image}:1`));
      assert.deepEqual(
        shows.filter((line) => !expected.some((found) => found.startsWith(line))),
        [],
        expected.join("\n"),
      );
      assertSameFiles(await files(`FROM ${image}:1`), expected);
      assertSameFiles(await files(`FROM scratch\nCOPY --from=${image}:1 / /`), expected);
      if (isUnseen) return;
      // What the kernel shows of the layers, without what busybox cannot copy.
      const seen = await files(`FROM busybox AS seen
RUN --mount=from=${image}:1,target=/from mkdir /to && cp -a /from/. /to/
FROM scratch
COPY --from=seen /to /`);
      const isCopied = (line: string) => !line.includes(" has security.");
      assertSameFiles(withoutTimes(seen), withoutTimes(expected.filter(isCopied)));
    });
  }

  for (const [name, lines] of Object.entries(OWN)) {
    it(name, async () => {
      const image = `own-${count++}`;
      const archive = join(bench.directory, `${image}-docker.tar`);
      const built = await files(["FROM busybox", ...lines].join("\n"), [
        "-o",
        `type=docker,dest=${archive},name=${image}:1`,
      ]);
      await docker.run(["load", "-i", archive]);
      assertSameFiles(built, comparable(await listDockerFiles(docker, `${image}:1`)));
    });
  }

  it("the traps that no engine can be asked about have their tests elsewhere", () => {
    for (const [trap, [file, name]] of Object.entries(ELSEWHERE)) {
      const text = readFileSync(resolve(import.meta.dirname, "../..", file), "utf8");
      assert.ok(text.includes(JSON.stringify(name)), `${trap}: "${name}" in ${file}`);
    }
  });

  /** Also into the store, as `NAME:1`; returns the archive. */
  async function loadLayers(name: string, layers: readonly (readonly MemberLike[])[]): Promise<string> {
    const layout = join(bench.directory, name);
    await writeLayeredLayout(layout, layers);
    await archiveLayout(layout, `${layout}.tar`, `${name}:1`);
    const { code, stderr } = await bench.run(["load", "-i", `${layout}.tar`]);
    assert.equal(code, 0, stderr);
    return `${layout}.tar`;
  }

  async function files(dockerfile: string, outputs: readonly string[] = []): Promise<string[]> {
    const dest = join(bench.directory, `files-${count++}.tar`);
    const { code, stderr } = await bench.build(dockerfile, {
      files: { f: "from the context\n" },
      args: ["-o", `type=tar,dest=${dest}`, ...outputs],
    });
    assert.equal(code, 0, stderr);
    const isOfEngine = /^ (?:dev|proc|sys|etc)[/ ]/;
    return comparable((await listTar(dest)).filter((line) => !isOfEngine.test(line)));
  }
});

function withoutTimes(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace(/ \d{4}-\d\d-\d\d [\d:]{8}$/, ""));
}

/**
 * Without the times of directories, which docker leaves as the unpacking made them, and without saying which of a file's names is the
 * first: a hard link is listed like its file.
 */
function comparable(lines: readonly string[]): string[] {
  const byName = new Map<string, string[]>();
  const linked: (readonly [name: string, target: string])[] = [];
  for (const line of lines.filter(isDockerExported)) {
    const hardLink = /^ (.*) link to (.*) h\S+ \S+ 0 /.exec(line);
    if (hardLink !== null) linked.push([hardLink[1]!, hardLink[2]!]);
    else {
      const name = / (.*?) (?:-> .*? )?(?:has |[-a-z]\S{9} \d+\/\d+ )/.exec(line)![1]!;
      const what = line.slice(name.length + 1).replace(/^( d\S+ \S+ 0) .*/, "$1");
      byName.set(name, [...(byName.get(name) ?? []), what]);
    }
  }
  for (const [name, target] of linked) byName.set(name, byName.get(target) ?? []);
  return [...byName].flatMap(([name, whats]) => whats.map((what) => ` ${name}${what}`)).sort();
}
