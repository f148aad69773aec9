import { existsSync } from "node:fs";
import { posix, resolve } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import type { BuildOptions } from "../index.ts";

type Volume = NonNullable<BuildOptions["volumes"]>[number];

/**
 * `HOST:CONTAINER[:OPTIONS]`, as buildah has it: paths, and `ro` or `rw`.
 *
 * @throws BuildError `option-invalid`; `unsupported` for options that would change the files or need a label.
 */
export function parseVolume(text: string): Volume {
  const [source = "", target = "", options = "", ...rest] = text.split(":");
  const refuse = (reason: string) =>
    new BuildError("option-invalid", `Cannot use "${text}" for --volume: ${reason}`);
  if (source === "" || target === "" || rest.length > 0) throw refuse("it is not FROM:TO[:ro]");
  if (!/^\.{0,2}\//.test(source)) throw refuse(`"${source}" is no path; volumes with names are docker's`);
  if (!target.startsWith("/")) throw refuse(`"${target}" does not begin with "/"`);
  if (posix.normalize(target) === "/") throw refuse("nothing can be mounted over the root");
  const words = options.split(",").filter((word) => word !== "");
  for (const word of words) checkWord(word, refuse);
  return {
    type: "volume",
    source: resolve(source),
    target: posix.normalize(target).replace(/\/$/, ""),
    readOnly: words.includes("ro"),
  };
}

const HAS_SELINUX = "/sys/fs/selinux/enforce";

function checkWord(word: string, refuse: (reason: string) => BuildError): void {
  if (word === "ro" || word === "rw") return;
  // Labels: without SELinux there are none to change.
  if (/^z$/i.test(word) && !existsSync(HAS_SELINUX)) return;
  if (/^(?:z|O|U|r?(?:shared|slave|private)|(?:no)?(?:dev|exec|suid)|bind|rbind)$/i.test(word)) {
    throw new BuildError("unsupported", `Cannot use the volume option "${word}": there is only ro and rw`);
  }
  throw refuse(`there is no option "${word}"`);
}
