import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listTar } from "./list-tar.ts";
import type { RunningDocker } from "./start-docker.ts";

const OF_ENGINE = /^ (?:\.dockerenv|(?:dev|proc|sys|etc)[/ ])/;

/** What `docker export` has of an image that the engine has, as `listTar` lists it, without what the engine puts there itself. */
export async function listDockerFiles(docker: RunningDocker, image: string): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), "slipway-export-"));
  try {
    const { stdout } = await docker.run(["create", "--network=none", image, "none"]);
    const exported = join(directory, "exported.tar");
    await docker.run(["export", "-o", exported, stdout.trim()]);
    return (await listTar(exported)).filter((line) => !OF_ENGINE.test(line));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Of the lines of `listTar`: docker exports capabilities and no other attribute. */
export function isDockerExported(line: string): boolean {
  return !/ has (?!security\.capability )\S+ of \d+ bytes$/.test(line);
}
