import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Place } from "../open-place.ts";
import type { Row, Work } from "../row.ts";

/** Builds from an image of six layers, one of them of 780 MB, that is not local. */
export const imageRows: readonly Row[] = [
  {
    name: "copy-from",
    title: "`COPY --from=IMAGE file`, image not local, six layers, file in a small upper one",
    goal: 0.05,
    bound: "the start of Node, one manifest and two small layers",
    rounds: 2,
    setUp: async (place) =>
      emptyStore(place, ["FROM scratch", `COPY --from=${place.image("big")} /opt/tool/0/1 /file`]),
  },
  {
    name: "copy-from-big",
    title: "the same, file in the 780 MB layer",
    goal: 0.15,
    bound: "download, SHA-256 and inflate of 290 MB",
    rounds: 2,
    setUp: async (place) =>
      emptyStore(place, ["FROM scratch", `COPY --from=${place.image("big")} /usr/lib/big/7/7 /file`]),
  },
  {
    name: "link-push",
    title: "`FROM big` + `COPY --link`, pushed to the base's registry, cold blobs",
    goal: 0.05,
    bound: "the start of Node, some requests",
    rounds: 2,
    // docker 20.10 and buildah 1.28 do not know --link; the files that it makes are the same.
    setUp: async (place) =>
      emptyStore(place, [`FROM ${place.image("big")}`, "COPY --link file /app/file"], {
        push: true,
        peerLines: [`FROM ${place.image("big")}`, "COPY file /app/file"],
      }),
  },
  {
    name: "copy-push",
    title: "`FROM big` + plain COPY, empty store, pushed to the base's registry",
    goal: 0.15,
    bound: "download, SHA-256 and inflate of 290 MB: nobody knows yet whether the base has /app",
    rounds: 2,
    setUp: async (place) =>
      emptyStore(place, [`FROM ${place.image("big")}`, "COPY file /app/file"], { push: true }),
  },
  {
    name: "from-run",
    title: "`FROM big` + `RUN true`, cold",
    goal: 0.2,
    bound: "download, SHA-256 and inflate of 290 MB, writing 780 MB",
    rounds: 2,
    setUp: async (place) => emptyStore(place, [`FROM ${place.image("big")}`, "RUN true"]),
  },
];

interface EmptyStoreOptions {
  readonly push?: boolean;
  /** What the peers build instead. */
  readonly peerLines?: readonly string[];
}

function emptyStore(
  place: Place,
  lines: readonly string[],
  { push = false, peerLines = lines }: EmptyStoreOptions = {},
): Work {
  const [ours, peers] = [lines, peerLines].map((some) => {
    const directory = place.context("image", `${some.join("\n")}\n`);
    writeFileSync(join(directory, "file"), "a file\n");
    return directory;
  });
  // A registry that has the layers of the last round under this name would have nothing to receive.
  const tags = new Map<string, string>();
  const build = (tool: { readonly name: string }, round: number) => {
    const key = `${tool.name} ${round}`;
    const tag = tags.get(key) ?? place.output("image");
    tags.set(key, tag);
    return { directory: tool.name === "slipway" ? ours! : peers!, tag };
  };
  return {
    prepare: (tool) => tool.empty(),
    commands: (tool, round) => {
      const request = build(tool, round);
      return push ? tool.buildAndPush(request) : [tool.build(request)];
    },
    result: build,
  };
}
