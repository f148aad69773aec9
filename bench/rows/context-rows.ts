import { createReadStream, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { measureCommands } from "../measure-commands.ts";
import type { Place } from "../open-place.ts";
import type { Row, Work } from "../row.ts";
import type { BuildRequest, Tool } from "../tool.ts";
import { writeBigFiles } from "../write-big-files.ts";

/** 50,000 files of 1 kB and 500 MB, through two stages into an image that is pushed. */
export const contextRows: readonly Row[] = [
  {
    name: "context-cold",
    title: "big context, cold",
    goal: 0.4,
    bound: "reading, SHA-256 and deflate of 550 MB",
    rounds: 2,
    setUp: async (place) => bigContext(place, "cold"),
  },
  {
    name: "context-unchanged",
    title: "big context, unchanged",
    goal: 0.3,
    bound: "50,000 times statx",
    rounds: 5,
    setUp: async (place) => bigContext(place, "unchanged"),
  },
  {
    name: "context-touched",
    title: "big context, one file touched",
    goal: 0.15,
    bound: "writing 550 MB again, SHA-256; deflate of what changed",
    rounds: 3,
    setUp: async (place) => bigContext(place, "touched"),
  },
  {
    name: "export",
    title: "export of a 1 GB layer, gzip",
    goal: 0.5,
    bound: "deflate of 1 GB on all cores",
    rounds: 2,
    setUp: exportLayer,
  },
];

function bigContext(place: Place, state: "cold" | "unchanged" | "touched"): Work {
  const directory = place.kept("context", (path) => {
    writeBigFiles(join(path, "tree/small"), { files: 50_000, sizeBytes: 1_000 });
    writeBigFiles(join(path, "tree/large"), { files: 10, sizeBytes: 50_000_000 });
  });
  const small = place.image("small");
  writeFileSync(
    join(directory, "Dockerfile"),
    `FROM ${small} AS build\nCOPY tree /src\nFROM ${small}\nCOPY --from=build /src /app\n`,
  );
  const touched = join(directory, "tree/small/3/7");
  const rounds = freshTags(place, directory);
  const build = (tool: Tool, round: number) => rounds(tool, state === "cold" ? round : 0);
  const all = (tool: Tool, round: number) => tool.buildAndPush(build(tool, round));
  return {
    async prepare(tool, round) {
      if (state === "cold" || round === 0) {
        await tool.empty();
        await measureCommands(tool, [tool.pull(small)]);
        if (state !== "cold") await measureCommands(tool, all(tool, round));
      }
      if (state === "touched") writeFileSync(touched, `round ${round} of ${place.output("")}`);
    },
    commands: all,
    result: build,
  };
}

async function exportLayer(place: Place): Promise<Work> {
  const directory = place.kept("layer", (path) => {
    writeBigFiles(join(path, "tree"), { files: 500, sizeBytes: 2_000_000 });
    writeFileSync(join(path, "Dockerfile"), 'FROM scratch\nCOPY tree /tree\nCMD ["x"]\n');
  });
  const build = freshTags(place, directory);
  let ours: BuildRequest | undefined;
  return {
    async prepare(tool, round) {
      await tool.empty();
      await measureCommands(tool, [tool.build(build(tool, round))]);
      if (tool.name === "slipway") ours = build(tool, round);
    },
    commands: (tool, round) => [tool.push(build(tool, round).tag)],
    result: build,
    async check() {
      const [name] = ours!.tag.slice(place.registry.host.length + 1).split(":");
      const blobs = join(place.registry.directory, "docker/registry/v2/blobs/sha256");
      const blobPath = (digest: string) => join(blobs, digest.slice(7, 9), digest.slice(7), "data");
      const accept =
        "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
      const answer = await fetch(`http://${place.registry.host}/v2/${name}/manifests/1`, {
        headers: { accept },
      });
      const { layers } = (await answer.json()) as { layers: readonly { digest: string; size: number }[] };
      const layer = layers.at(-1)!;
      let zlibBytes = 0;
      await pipeline(
        createReadStream(blobPath(layer.digest)),
        createGunzip(),
        createGzip({ level: 6 }),
        async (chunks: AsyncIterable<Buffer>) => {
          for await (const chunk of chunks) zlibBytes += chunk.length;
        },
      );
      const share = layer.size / zlibBytes;
      console.log(`  the layer has ${share.toFixed(3)} of what zlib makes of it at level 6`);
      if (share > 1.03) throw new Error(`slipway's layer is ${share} of zlib's: at most 1.03 is allowed`);
    },
  };
}

/** For each tool and round a name of its own, so that the registry has nothing of an earlier one. */
function freshTags(place: Place, directory: string): (tool: Tool, round: number) => BuildRequest {
  const tags = new Map<string, string>();
  return (tool, round) => {
    const key = `${tool.name} ${round}`;
    const tag = tags.get(key) ?? place.output("context");
    tags.set(key, tag);
    return { directory, tag };
  };
}
