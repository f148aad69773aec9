/**
 * `npm run demo`: does the main job once, from nothing. Builds href-counter by a multi-stage Dockerfile, runs the image
 * against a page of its own, and says what the two stages bought. Needs root and apt for what is not installed yet.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { installPackages } from "./install-packages.ts";
import { basePackages, importBaseImages, listImages } from "./make-base-images.ts";
import { servePage } from "./serve-page.ts";

const STAND_INS = `\
href-counter's Dockerfile starts from golang:1.7.3 and alpine:latest. A Go as old as 1.7.3 can no longer compile today's
golang.org/x/net, so this demo imports stand-ins under these names, made from Debian packages: golang:1.7.3 is Debian's
golang-go with golang-golang-x-net-dev, alpine:latest is busybox with an apk that installs, offline, the few packages that
the examples ask for. They are kept, the next demo takes seconds.`;

const repository = resolve(import.meta.dirname, "..");
const example = join(repository, "examples/2-named");
const store = process.env.SLIPWAY_ROOT || join(repository, ".cache/demo-store");
const image = "example/href-counter:latest";
const builderImage = "example/href-counter:builder";

installPackages(["crun", "passt", ...basePackages]);

say("The base images");
console.log(STAND_INS);
await importBaseImages(store, (line) => console.log(`${line} ...`));

say("Build: two stages, of which only the second one becomes the image");
await slipway(["build", "-t", image, example]);

say("Run: what href-counter says about a page that this demo serves");
await runOnPage();

say("What multi-stage bought");
await slipway(["build", "--quiet", "--target", "builder", "-t", builderImage, example], "discard");
await compareSizes();

if (await canReachDockerHub()) {
  say("Docker Hub answers, so here is examples/modern as well: go.mod, today's golang and alpine");
  await slipway(["build", "-t", "example/href-counter:modern", join(repository, "examples/modern")]);
} else {
  say("Docker Hub does not answer, so examples/modern (go.mod, today's golang and alpine) is left out");
}

async function runOnPage(): Promise<void> {
  await using page = await servePage();
  const output = await slipway(
    ["run", "--rm", "--network", "host", "-e", `url=${page.url}`, image],
    "return",
  );
  process.stdout.write(output);
  if (!isDeepStrictEqual(JSON.parse(output), page.report)) {
    throw new Error(`href-counter should have said ${JSON.stringify(page.report)}`);
  }
}

async function compareSizes(): Promise<void> {
  const parts = await measureParts();
  const images = new Map(listImages(store).map(({ name, sizeBytes }) => [name, sizeBytes]));
  const sizeOf = (name: string) => images.get(name) ?? Number.NaN;
  const row = (name: string, sizeBytes: number) =>
    console.log(`  ${name.padEnd(60)} ${(sizeBytes / 1e6).toFixed(1).padStart(7)} MB`);
  row("the builder stage (--target builder)", sizeOf(builderImage));
  row("the final image", sizeOf(image));
  row("  of that alpine:latest, with all that its apk can install", sizeOf("alpine:latest"));
  row("left behind", sizeOf(builderImage) - sizeOf(image));
  for (const [name, sizeBytes] of parts) row(`  ${name}`, sizeBytes);
}

/** What takes the room in the builder stage, in bytes. */
async function measureParts(): Promise<Map<string, number>> {
  const parts = {
    "/usr/lib/go/": "the Go compiler and its packages",
    "/usr/share/go/": "the sources of the standard library",
    "/usr/share/gocode/": "the sources of golang.org/x",
    "/root/.cache/": "the cache of go build",
  };
  const sum = `find "$path" -type f -exec stat -c %s {} + | awk '{ sum += $1 } END { printf "%.0f", sum }'`;
  const script = `for path; do echo "$(${sum}) $path"; done`;
  const command = ["sh", "-c", script, "-", ...Object.keys(parts)];
  const output = await slipway(["run", "--rm", builderImage, ...command], "measure");
  const sizes = new Map<string, number>();
  for (const line of output.trim().split("\n")) {
    const [sizeBytes, path] = line.split(" ");
    sizes.set(`${parts[path as keyof typeof parts]}, ${path}`, Number(sizeBytes));
  }
  return sizes;
}

/** Any answer of the registry counts: without a token it says 401. */
async function canReachDockerHub(): Promise<boolean> {
  try {
    const { status } = await fetch("https://registry-1.docker.io/v2/", { signal: AbortSignal.timeout(3000) });
    return status === 200 || status === 401;
  } catch {
    return false;
  }
}

/** Runs slipway on the demo's store, and shows the command but for measurements. Ends the demo where it fails. */
async function slipway(
  args: readonly string[],
  output: "show" | "return" | "discard" | "measure" = "show",
): Promise<string> {
  if (output !== "measure") console.log(`$ slipway ${args.join(" ").replaceAll(`${repository}/`, "")}`);
  const stdout = { show: "inherit", return: "pipe", discard: "ignore", measure: "pipe" } as const;
  const child = spawn(join(repository, "bin/slipway"), args, {
    env: { ...process.env, SLIPWAY_ROOT: store },
    stdio: ["ignore", stdout[output], "inherit"],
  });
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const [code, signal] = await once(child, "close");
  if (code !== 0) {
    console.error(`\nThe demo ends here: slipway ${args[0]} ended with ${signal ?? code}`);
    process.exit(1);
  }
  return text;
}

function say(heading: string): void {
  console.log(`\n=== ${heading}`);
}
