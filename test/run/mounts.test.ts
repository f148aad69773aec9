import assert from "node:assert/strict";
import { existsSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { runCommand } from "../slipway.ts";

describe("mounts of a RUN", { skip: runMissing }, () => {
  let bench: BuildBench;
  beforeEach(async () => {
    bench = await openBuildBench();
  });
  afterEach(() => bench[Symbol.dispose]());

  async function printed(
    dockerfile: string,
    options: Parameters<BuildBench["build"]>[1] = {},
  ): Promise<string> {
    const { code, stderr } = await bench.build(dockerfile, options);
    assert.equal(code, 0, stderr);
    return stderr.replaceAll(/^#\d+ [\d.]+ /gm, "");
  }

  describe("bind", () => {
    it("shows the context, a stage, an image and a named context", async () => {
      const other = bench.context({ "named.txt": "named" });
      const text = await printed(
        `FROM busybox AS stage
         RUN mkdir /made && echo stage > /made/file
         FROM busybox
         RUN --mount=type=bind,target=/c --mount=type=bind,from=stage,source=/made,target=/s --mount=type=bind,from=busybox,target=/i --mount=type=bind,from=other,source=named.txt,target=/n.txt cat /c/a/b /s/file /n.txt && ls /i/etc/passwd
         RUN [ ! -e /c ] && [ ! -e /s ] && [ ! -e /i ] && [ ! -e /n.txt ] && echo gone`,
        { files: { "a/b": "context\n" }, args: ["--build-context", `other=${other}`] },
      );
      assert.match(text, /^context\nstage\nnamed\/i\/etc\/passwd$/m);
      assert.match(text, /^gone$/m);
    });

    it("is read-only, or with rw takes what is written and throws it away", async () => {
      const files = { file: "before\n" };
      const text = await printed(
        `FROM busybox
         RUN --mount=type=bind,target=/c (echo x > /c/file) || echo refused
         RUN --mount=type=bind,target=/c,rw echo after > /c/file && touch /c/new && cat /c/file
         RUN --mount=type=bind,target=/c,rw cat /c/file && [ ! -e /c/new ] && echo clean`,
        { files },
      );
      assert.match(text, /^refused$/m);
      assert.match(text, /^after$/m);
      assert.match(text, /^before\nclean$/m);
    });

    it("runs again when what it shows changes, and only then", async () => {
      const dockerfile = "FROM busybox\nRUN --mount=type=bind,source=in,target=/in cat /in/f";
      await printed(dockerfile, { files: { "in/f": "1", other: "a" } });
      assert.match(await printed(dockerfile, { files: { "in/f": "1", other: "b" } }), /CACHED/);
      assert.doesNotMatch(await printed(dockerfile, { files: { "in/f": "2", other: "b" } }), /CACHED/);
    });

    it("says that there is no such file", async () => {
      const { code, stderr } = await bench.build(
        "FROM busybox\nRUN --mount=type=bind,source=none,target=/x true",
      );
      assert.equal(code, 1);
      assert.match(stderr, /^Error: Cannot mount "\/none": it is not there$/m);
      const inStage = await bench.build(
        "FROM busybox AS a\nFROM busybox\nRUN --mount=type=bind,from=a,source=/etc/pass,target=/x true",
      );
      assert.equal(inStage.code, 1);
      assert.match(inStage.stderr, /^Error: Cannot mount "\/etc\/pass": it is not there$/m);
      assert.match(inStage.stderr, /passwd/);
    });

    it("takes a source as it is written: a star is no wildcard", async () => {
      const mount = (source: string) =>
        `FROM busybox\nRUN --mount=type=bind,source=${source},target=/x cat /x`;
      const files = { "a*": "star", ab: "other" };
      assert.match(await printed(mount("a*"), { files }), /star$/m);
      const { code, stderr } = await bench.build(mount("*b"), { files });
      assert.equal(code, 1);
      assert.match(stderr, /^Error: Cannot mount "\/\*b": it is not there$/m);
    });
  });

  describe("cache", () => {
    it("keeps what was written, by its id, also by a RUN that failed and with --no-cache", async () => {
      const mount = "--mount=type=cache,id=x,target=/c";
      const { code } = await bench.build(`FROM busybox\nRUN ${mount} echo kept > /c/file && false`);
      assert.equal(code, 1);
      const text = await printed(
        `FROM busybox
         RUN --mount=type=cache,id=x,target=/elsewhere cat /elsewhere/file
         RUN --mount=type=cache,target=/c [ ! -e /c/file ] && echo other`,
        { args: ["--no-cache"] },
      );
      assert.match(text, /^kept$/m);
      assert.match(text, /^other$/m);
    });

    it("has the mode and owner that are asked for when it is made, and can be read-only", async () => {
      const text = await printed(
        `FROM busybox
         RUN --mount=type=cache,target=/c,mode=0700,uid=12,gid=34 stat -c '%a %u:%g' /c
         RUN --mount=type=cache,target=/c,ro touch /c/x || echo refused`,
      );
      assert.match(text, /^700 12:34$/m);
      assert.match(text, /^refused$/m);
    });

    it("with a mode or owner of its own is another one, and begins empty in a build with --no-cache", async () => {
      const count = (file: string) =>
        `FROM busybox\nRUN --mount=type=cache,id=own,target=/c,mode=0773 touch /c/${file}; echo $(ls /c)\n` +
        `RUN --mount=type=cache,id=own,target=/c touch /c/plain; echo $(ls /c)\n`;
      assert.match(await printed(count("one")), /^one\n[\s\S]*^plain$/m);
      assert.match(await printed(count("two"), { args: ["--no-cache"] }), /^two\n[\s\S]*^plain$/m);
      assert.match(await printed(count("three")), /^three two$/m);
    });

    for (const sharing of ["shared", "private"]) {
      it(`that begins empty takes nothing from another build that has it mounted: ${sharing}`, async () => {
        const run = (command: string) =>
          `FROM busybox\nRUN --mount=type=cache,id=begun-${sharing},target=/c,mode=0773,sharing=${sharing} ` +
          `--mount=type=cache,id=signal-${sharing},target=/s ${command}\n`;
        const until = (name: string) => `until [ -e /s/${name} ]; do sleep 0.1; done`;
        const first = printed(run(`touch /c/one /s/in; ${until("go")}; echo list: $(ls /c)`));
        try {
          await printed(
            `FROM busybox\nRUN --mount=type=cache,id=signal-${sharing},target=/s ${until("in")}\n`,
          );
          const second = await printed(run("touch /c/two; echo list: $(ls /c)"), { args: ["--no-cache"] });
          assert.match(second, /^list: two$/m);
        } finally {
          await printed(`FROM busybox\nRUN --mount=type=cache,id=signal-${sharing},target=/s touch /s/go\n`);
        }
        assert.match(await first, /^list: one$/m);
        const asides = () =>
          readdirSync(join(bench.root, "cache-mounts")).filter((name) => name.startsWith("aside-"));
        assert.equal(asides().length, sharing === "shared" ? 1 : 0);
        await printed(run("touch /c/three"), { args: ["--no-cache"] });
        assert.deepEqual(asides(), []);
      });
    }

    it("begins with the files of a stage", async () => {
      const text = await printed(
        `FROM busybox AS seed
         RUN mkdir -p /s/d && echo seed > /s/d/f && ln -s f /s/d/l && chown 5:6 /s/d/f
         FROM busybox
         RUN --mount=type=cache,target=/c,from=seed,source=/s cat /c/d/l && stat -c %u:%g /c/d/f && echo more > /c/d/f
         RUN --mount=type=cache,target=/c,from=seed,source=/s cat /c/d/f`,
      );
      assert.match(text, /^seed\n5:6$/m);
      assert.match(text, /^more$/m);
    });

    /** Two processes, each a build with one RUN that says when it is in and out, and between them does `meanwhile`. */
    async function overlapOf(
      sharing: string,
      meanwhile: string,
    ): Promise<{ readonly overlapped: boolean; readonly files: string[] }> {
      const script = `touch /c/in.$N /c/seen.$N; ${meanwhile}; echo list: $(ls /c); rm /c/in.$N`;
      const texts = await Promise.all(
        [1, 2].map((n) =>
          printed(
            `FROM busybox\nRUN --mount=type=cache,id=${sharing},target=/c,sharing=${sharing} N=${n}; ${script}`,
          ),
        ),
      );
      const files = texts.map((text) => /^list: .*$/m.exec(text)?.[0] ?? "");
      return { overlapped: files.some((list) => list.includes("in.1") && list.includes("in.2")), files };
    }

    it("shared: two builds at once see the same directory", async () => {
      const other = "/c/seen.$((3 - N))";
      const untilOther = `for i in $(seq 600); do [ -e ${other} ] && break; sleep 0.1; done`;
      assert.equal((await overlapOf("shared", untilOther)).overlapped, true);
    });

    it("locked: the second build waits for the first, and then sees what it wrote", async () => {
      const { overlapped, files } = await overlapOf("locked", "sleep 1");
      assert.equal(overlapped, false);
      assert.ok(
        files.some((list) => list.includes("seen.1") && list.includes("seen.2")),
        files.join("\n"),
      );
    });

    it("private: two builds at once have one each", async () => {
      const { overlapped, files } = await overlapOf("private", "sleep 1");
      assert.equal(overlapped, false);
      assert.ok(!files.some((list) => list.includes("seen.1") && list.includes("seen.2")), files.join("\n"));
    });
  });

  it("tmpfs has the size that is asked for, and nothing of it stays", async () => {
    const text = await printed(
      `FROM busybox
       RUN --mount=type=tmpfs,target=/t,size=1m df -k /t && ! dd if=/dev/zero of=/t/big bs=1k count=2000 2>/dev/null && echo full
       RUN [ ! -e /t ] && echo gone`,
    );
    assert.match(text, / 1024 /);
    assert.match(text, /^full$/m);
    assert.match(text, /^gone$/m);
  });

  it("hosts, resolv.conf and the host's name leave no trace", async () => {
    const text = await printed(
      `FROM busybox
       RUN hostname && cat /etc/hosts && echo more >> /etc/hosts && echo ok
       RUN [ ! -s /etc/hosts ] || ! grep -q more /etc/hosts && echo forgotten`,
      { args: ["--add-host", "example.test:10.1.2.3"] },
    );
    // As BuildKit has them (executor/oci/hosts.go).
    const hosts = [
      "127.0.0.1\tlocalhost buildkitsandbox",
      "::1\tlocalhost ip6-localhost ip6-loopback",
      "10.1.2.3\texample.test",
    ];
    assert.ok(text.includes(`\nbuildkitsandbox\n${hosts.join("\n")}\nok\n`), text);
    assert.match(text, /^forgotten$/m);
    const named = await printed("FROM busybox\nRUN hostname", {
      args: ["--build-arg", "BUILDKIT_SANDBOX_HOSTNAME=me"],
    });
    assert.match(named, /^me$/m);
  });

  it("hosts and resolv.conf are where links of the image lead, inside of it, and the links stay as they are", async () => {
    const dockerfile = `FROM busybox
       COPY etc /etc
       RUN grep -q buildkitsandbox /etc/hosts && [ -e /etc/resolv.conf ] && touch /done
       RUN readlink /etc/hosts && readlink /etc/resolv.conf`;
    const context = bench.context({ Dockerfile: dockerfile, "etc/other": "" });
    // A target that is missing, and one outside of the image.
    symlinkSync("/run/resolve/stub.conf", join(context, "etc/resolv.conf"));
    symlinkSync("../../../../slipway-outside/hosts", join(context, "etc/hosts"));
    const out = join(bench.directory, "links.tar");
    const { code, stderr } = await bench.run([
      "build",
      "--progress=plain",
      "-o",
      `type=tar,dest=${out}`,
      context,
    ]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /slipway-outside\/hosts\n.* \/run\/resolve\/stub\.conf$/m);
    assert.ok(!existsSync("/slipway-outside"));
    const { stdout } = await runCommand("tar", ["-tf", out]);
    assert.deepEqual(
      stdout.split("\n").filter((path) => /outside|run\/|resolv|hosts/.test(path)),
      ["etc/hosts", "etc/resolv.conf"],
    );
  });

  it("a file is not mounted on a directory, nor a directory on a file", async () => {
    for (const [dockerfile, message] of [
      [
        "FROM busybox\nWORKDIR /etc/hosts\nRUN true",
        'Cannot mount a file on "/etc/hosts": the image has a directory there',
      ],
      [
        "FROM busybox\nRUN --mount=type=cache,target=/etc/passwd true",
        'Cannot mount a directory on "/etc/passwd": the image has a file there',
      ],
    ] as const) {
      const { code, stderr } = await bench.build(dockerfile);
      assert.equal(code, 1);
      assert.ok(stderr.includes(`Error: ${message}`), stderr);
    }
  });
});
