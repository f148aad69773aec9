import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeTemporaryDirectory } from "../../test/make-layers.ts";
import { hostPlatform } from "../oci/platform.ts";
import { checkBinfmt } from "./check-binfmt.ts";

const host = hostPlatform(process.arch).architecture;
/** As Debian's qemu-user-static registers it, and as the kernel shows it. */
const HANDLER = `enabled
interpreter /usr/libexec/qemu-binfmt/riscv64-binfmt-P
flags: POCF
offset 0
magic 7f454c460201010000000000000000000200f300
mask ffffffffffffff00fffffffffffffffffeffffff
`;

test("checkBinfmt() lets native and handled programs run, and says how to get a handler", (t) => {
  const directory = makeTemporaryDirectory(t);
  const check = (architecture: string) => checkBinfmt({ os: "linux", architecture }, directory);
  // Handlers that cannot be seen may be there.
  check("riscv64");
  writeFileSync(join(directory, "status"), "enabled\n");
  writeFileSync(join(directory, "register"), "");
  check(host);
  const refused = {
    code: "environment",
    message: new RegExp(
      `^Cannot run a command for linux/riscv64: this machine is linux/${host}, and its kernel has no handler`,
    ),
    hint: /qemu-user-static/,
  };
  assert.throws(() => check("riscv64"), refused);
  writeFileSync(join(directory, "qemu-riscv64"), HANDLER);
  check("riscv64");
  assert.throws(() => check("s390x"), { code: "environment" });
  writeFileSync(join(directory, "qemu-riscv64"), HANDLER.replace("enabled", "disabled"));
  assert.throws(() => check("riscv64"), refused);
  assert.throws(() => checkBinfmt({ os: "windows", architecture: "amd64" }, directory), {
    code: "unsupported",
  });
});
