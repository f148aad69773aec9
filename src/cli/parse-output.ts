import type { BuildOutput } from "../build/build-options.ts";
import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import type { OutputStream } from "./command-context.ts";
import { parseAttributes, parseSwitch } from "./parse-attributes.ts";

const TYPES = ["image", "registry", "oci", "docker", "cacheonly", "local", "tar"] as const;
const KNOWN = ["type", "name", "push", "dest", "tar"];
/** Attributes of BuildKit's exporters that are to come. */
const LATER = [
  "push-by-digest",
  "registry.insecure",
  "store",
  "oci-mediatypes",
  "compression",
  "compression-level",
  "force-compression",
  "rewrite-timestamp",
  "source-date-epoch",
  "platform-split",
  "mode",
];

/**
 * Reads a value of `--output`: `type=oci,dest=app.tar`. `-` as `dest` is `stdout`, which must be no terminal.
 *
 * @throws BuildError `option-invalid`, `unsupported`.
 */
export function parseOutput(text: string, stdout: OutputStream): BuildOutput {
  const refuse = (reason: string, hint?: string) =>
    new BuildError("option-invalid", `Cannot use "${text}" for --output: ${reason}`, { hint });
  if (!text.includes("=")) {
    throw new BuildError(
      "unsupported",
      `Cannot write the files of the image to "${text}": the outputs local and tar are not there yet`,
      { hint: `Write an image archive with -o type=oci,dest=${text === "-" ? "-" : `${text}.tar`}` },
    );
  }
  refuseAnnotations(text);
  const attributes = parseAttributes(text, { option: "--output", known: KNOWN, later: LATER });
  const typeText = attributes.get("type") ?? "";
  const type = TYPES.find((known) => known === typeText);
  if (type === undefined) {
    throw refuse(
      typeText === "" ? "it has no type" : `there is no output type "${typeText}"`,
      hintNearest(typeText, TYPES) ?? `Types are ${TYPES.join(", ")}`,
    );
  }
  const only = (...allowed: string[]) => {
    const wrong = [...attributes.keys()].find((key) => key !== "type" && !allowed.includes(key));
    if (wrong !== undefined) throw refuse(`${wrong} means nothing for the type ${type}`);
  };
  const names = (attributes.get("name") ?? "").split(",").filter((name) => name !== "");
  switch (type) {
    case "image":
    case "registry": {
      only("name", "push");
      const push = parseSwitch(attributes.get("push"), { name: "push", otherwise: type === "registry" });
      return { type: "image", names, push };
    }
    case "oci":
    case "docker": {
      only("name", "dest", "tar");
      const tar = parseSwitch(attributes.get("tar"), { name: "tar", otherwise: true });
      const dest = attributes.get("dest") ?? "-";
      if (dest === "") throw refuse("dest is empty");
      if (dest !== "-") return { type, names, tar, dest };
      if (!tar) throw refuse("a directory needs a path", "Add dest=DIRECTORY");
      if (stdout.isTTY) throw refuse("a terminal shows no archive", "Add dest=FILE, or redirect stdout");
      return { type, names, tar, dest: stdout };
    }
    case "cacheonly":
      only();
      return { type };
    case "local":
    case "tar":
      throw new BuildError(
        "unsupported",
        `Cannot use "${text}" for --output: the type ${type} is not there yet`,
      );
  }
}

function refuseAnnotations(text: string): void {
  if (/(?:^|,)"?annotation/.test(text)) {
    throw new BuildError("unsupported", `Cannot use "${text}" for --output: annotations are not there yet`);
  }
}
