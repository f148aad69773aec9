import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { measureCommands } from "../measure-commands.ts";
import type { Place } from "../open-place.ts";
import type { Row, Work } from "../row.ts";

const href = resolve(import.meta.dirname, "../../examples/2-named");

/** Builds of RUNs. */
export const runRows: readonly Row[] = [
  {
    name: "runs",
    title: "60 trivial RUNs, cold",
    goal: 0.25,
    bound: "the OCI runtime: 60 containers one after the other",
    rounds: 3,
    async setUp(place) {
      const runs = Array.from({ length: 60 }, (_, number) => `RUN true ${number}`);
      return coldBuild(place, "runs", [`FROM ${place.image("small")}`, ...runs]);
    },
  },
  {
    name: "sleeps",
    title: "eight parallel `sleep 1` stages",
    goal: 0.4,
    bound: "one second of sleep",
    rounds: 3,
    async setUp(place) {
      const numbers = Array.from({ length: 8 }, (_, number) => number);
      const small = place.image("small");
      return coldBuild(place, "sleeps", [
        ...numbers.flatMap((at) => [`FROM ${small} AS s${at}`, `RUN sleep 1 && echo ${at} > /out`]),
        `FROM ${small}`,
        ...numbers.map((at) => `COPY --from=s${at} /out /out${at}`),
      ]);
    },
  },
  {
    name: "href",
    title: "href-counter, cold",
    goal: 0.6,
    bound: "`go build` itself",
    rounds: 3,
    async setUp(place) {
      const lines = readFileSync(join(href, "Dockerfile"), "utf8")
        .replace("golang:1.7.3", place.image("golang"))
        .replace("alpine:latest", place.image("alpine"));
      const directory = place.context("href", lines);
      writeFileSync(join(directory, "app.go"), readFileSync(join(href, "app.go")));
      const build = { directory, tag: place.output("href") };
      return {
        prepare: (tool) => tool.empty(),
        commands: (tool) => [tool.build(build)],
        result: () => build,
      };
    },
  },
  {
    name: "unchanged",
    title: "unchanged two-stage build, whole process",
    goal: 0.5,
    bound: "the start of Node (`node -e 0`)",
    rounds: 9,
    async setUp(place) {
      const small = place.image("small");
      const directory = place.context(
        "unchanged",
        [
          `FROM ${small} AS build`,
          "COPY source.txt /source.txt",
          "RUN cp /source.txt /result.txt",
          `FROM ${small}`,
          "COPY --from=build /result.txt /result.txt",
          'CMD ["cat", "/result.txt"]\n',
        ].join("\n"),
      );
      writeFileSync(join(directory, "source.txt"), "a source\n");
      const build = { directory, tag: place.output("unchanged") };
      return {
        async prepare(tool, round) {
          if (round > 0) return;
          await tool.empty();
          await measureCommands(tool, [tool.pull(small), tool.build(build)]);
        },
        commands: (tool) => [tool.build(build)],
        result: () => build,
      };
    },
  },
];

/** A build of these lines on a store that has the small image and nothing else. */
function coldBuild(place: Place, name: string, lines: readonly string[]): Work {
  const build = { directory: place.context(name, `${lines.join("\n")}\n`), tag: place.output(name) };
  return {
    async prepare(tool) {
      await tool.empty();
      await measureCommands(tool, [tool.pull(place.image("small"))]);
    },
    commands: (tool) => [tool.build(build)],
    result: () => build,
  };
}
