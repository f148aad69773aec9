import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";

const CDI = "/etc/cdi";
const KIND = `slipway-test-${process.pid}.example/device`;

describe("what a RUN may do only with --allow", { skip: runMissing }, () => {
  let bench: BuildBench;
  beforeEach(async () => {
    bench = await openBuildBench();
  });
  afterEach(() => bench[Symbol.dispose]());

  const run = (instruction: string, args: readonly string[] = []) =>
    bench.build(`FROM busybox\nRUN ${instruction}`, { args });

  async function ok(instruction: string, args: readonly string[] = []): Promise<string> {
    const { code, stderr } = await run(instruction, args);
    assert.equal(code, 0, stderr);
    return stderr.replaceAll(/^#\d+ [\d.]+ /gm, "");
  }

  async function refused(instruction: string, message: string, args: readonly string[] = []): Promise<void> {
    const { code, stderr } = await run(instruction, args);
    assert.equal(code, 1);
    assert.ok(stderr.includes(`Error: ${message}`), stderr);
  }

  it("--security=insecure: all capabilities, no seccomp, no masked paths, devices", async () => {
    const command =
      "--security=insecure grep -E '^(CapEff|CapAmb|Seccomp):' /proc/self/status; mkdir /m && mount -t tmpfs x /m && echo mounted; echo x > /proc/sys/kernel/domainname && echo written; ls /dev/fuse /dev/loop0";
    await refused(command, "Cannot run with --security=insecure: the build does not allow it");
    const text = await ok(command, ["--allow", "security.insecure"]);
    const own = /^CapEff:\t(\S+)$/m.exec(text)![1];
    assert.match(text, new RegExp(`^CapAmb:\t${own}$`, "m"));
    assert.match(text, /^Seccomp:\t0$/m);
    assert.match(text, /^mounted\nwritten\n\/dev\/fuse\n\/dev\/loop0$/m);
  });

  it("is asked for also when the result is known already", async () => {
    await ok("--security=insecure true", ["--allow", "security.insecure"]);
    await refused(
      "--security=insecure true",
      "Cannot run with --security=insecure: the build does not allow it",
    );
  });

  it("--network=host", async () => {
    await refused("--network=host true", "Cannot run with --network=host: the build does not allow it");
    await ok("--network=host true", ["--allow", "network.host"]);
  });

  describe("--device with a path", { skip: !existsSync("/dev/fuse") && "needs /dev/fuse" }, () => {
    const use = "--device=/dev/fuse exec 3<>/dev/fuse && echo opened";

    it("gives the device, which then can be opened", async () => {
      await refused(use, 'Cannot give the device "/dev/fuse": the build does not allow it');
      assert.match(await ok(use, ["--allow", "device"]), /^opened$/m);
    });

    it("takes the permission for this device alone", async () => {
      await ok("--device=/dev/fuse true", ["--allow", "device=/dev/fuse"]);
      await refused("--device=/dev/fuse true", 'Cannot give the device "/dev/fuse"', [
        "--allow",
        "device=/dev/kvm",
      ]);
    });

    it("gives it under another name and with fewer rights", async () => {
      const text = await ok(
        "--device=/dev/fuse:/dev/x:r (exec 3</dev/x) && echo read; (exec 3>/dev/x) || echo refused",
        ["--allow", "device"],
      );
      assert.match(text, /^read$/m);
      assert.match(text, /^refused$/m);
    });
  });

  it("goes on without an optional device, and not without a required one", async () => {
    await ok("--device=/dev/slipway-none true");
    await refused(
      "--device=/dev/slipway-none,required true",
      'Cannot give the device "/dev/slipway-none": this machine has none of that name',
    );
    await ok("--device=nobody.example/none=x true");
    await refused(
      "--device=nobody.example/none=x,required true",
      'Cannot give the device "nobody.example/none=x"',
    );
  });

  describe("--device with a CDI name", () => {
    const hadDirectory = existsSync(CDI);
    const path = join(CDI, `slipway-test-${process.pid}.json`);

    beforeEach(() => {
      mkdirSync(CDI, { recursive: true });
      writeFileSync(join(bench.directory, "driver"), "driver\n");
      writeFileSync(
        path,
        JSON.stringify({
          cdiVersion: "0.6.0",
          kind: KIND,
          containerEdits: { env: ["ALL=yes"] },
          devices: [
            {
              name: "a",
              containerEdits: {
                env: ["A=1"],
                deviceNodes: [{ path: "/dev/card-a", hostPath: "/dev/zero", permissions: "r" }],
                mounts: [
                  {
                    hostPath: join(bench.directory, "driver"),
                    containerPath: "/lib/driver",
                    options: ["ro", "bind"],
                  },
                ],
              },
            },
            {
              name: "b",
              annotations: {
                "org.mobyproject.buildkit.device.autoallow": "true",
                "org.mobyproject.buildkit.device.class": "free",
              },
              containerEdits: { env: ["B=1"] },
            },
          ],
        }),
      );
    });
    afterEach(() => {
      rmSync(path, { force: true });
      if (!hadDirectory && readdirSync(CDI).length === 0) rmdirSync(CDI);
    });

    it("applies what its vendor describes, and leaves nothing of it in the image", async () => {
      const text = await ok(
        `--device=${KIND}=a env; cat /lib/driver; dd if=/dev/card-a bs=4 count=1 2>/dev/null | od -b; [ ! -e /card-b ]`,
        ["--allow", "device"],
      );
      for (const line of [/^ALL=yes$/m, /^A=1$/m, /^driver$/m, /^0000000 000 000 000 000$/m])
        assert.match(text, line);
      assert.doesNotMatch(text, /^B=1$/m);
      await ok(`--device=${KIND}=a true\nRUN [ ! -e /lib/driver ] && [ ! -e /lib ]`, ["--allow", "device"]);
    });

    it("is found in YAML, too", async () => {
      const yaml = path.replace(/json$/, "yaml");
      const kind = KIND.replace("device", "other");
      writeFileSync(
        yaml,
        `cdiVersion: "0.6.0"\nkind: ${kind}\ndevices:\n  - name: y\n    containerEdits:\n      env: ["Y=1"]\n`,
      );
      try {
        assert.match(await ok(`--device=${kind}=y env`, ["--allow", "device"]), /^Y=1$/m);
      } finally {
        rmSync(yaml);
      }
    });

    it("finds the first of a kind, all of it, and a class; what is free needs no permission", async () => {
      assert.match(await ok(`--device=${KIND} env`, ["--allow", "device"]), /^A=1$/m);
      const all = await ok(`--device=${KIND}=* env`, ["--allow", `device=${KIND}`]);
      assert.match(all, /^A=1$/m);
      assert.match(all, /^B=1$/m);
      assert.match(await ok(`--device=${KIND}=free env`), /^B=1$/m);
      await refused(
        `--device=${KIND}=a env`,
        `Cannot give the device "${KIND}=a": the build does not allow it`,
      );
    });
  });
});
