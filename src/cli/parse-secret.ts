import { readFile } from "node:fs/promises";
import { BuildError } from "../errors/build-error.ts";
import { parseAttributes } from "./parse-attributes.ts";

/** BuildKit's limit for one secret. */
const SIZE_MAX = 500 * 1024;

/**
 * Reads a value of `--secret` and the secret itself: `id=ID,src=FILE`, `id=ID,env=NAME`; with the id alone, the variable of that
 * name, else the file.
 *
 * @throws BuildError `option-invalid` when it cannot be read; a variable that is not set is an empty secret, as docker has it.
 */
export async function readSecret(
  text: string,
  env: NodeJS.ProcessEnv,
): Promise<readonly [id: string, content: Uint8Array]> {
  const attributes = parseAttributes(text, {
    option: "--secret",
    known: ["id", "type", "src", "source", "env"],
  });
  const refuse = (reason: string, hint?: string) =>
    new BuildError("option-invalid", `Cannot use "${text}" for --secret: ${reason}`, { hint });
  const type = attributes.get("type");
  const source = attributes.get("src") ?? attributes.get("source");
  const id = attributes.get("id");
  if (id === undefined || id === "") throw refuse("it has no id", "Write --secret id=ID,src=FILE");
  if (type !== undefined && type !== "file" && type !== "env") {
    throw refuse(`there is no type "${type}"`, "Types are file and env");
  }
  const named = attributes.get("env") ?? (type === "env" ? source : undefined);
  const variable =
    named ?? (source === undefined && type !== "file" && env[id] !== undefined ? id : undefined);
  if (variable !== undefined) return [id, Buffer.from(env[variable] ?? "")];
  const path = source ?? id;
  let content: Buffer;
  try {
    content = await readFile(path);
  } catch (error) {
    throw new BuildError("option-invalid", `Cannot read the secret "${id}": ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (content.length > SIZE_MAX) {
    throw new BuildError(
      "input-limit",
      `Cannot use the secret "${id}": it has ${content.length} bytes, above the limit of 500 KiB`,
    );
  }
  return [id, content];
}
