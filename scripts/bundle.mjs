// Makes dist/: one bundle an entry point, with shared chunks, so that a command loads only what it uses.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
/** Each is bundled for itself: fewer files to load count for more than what they could share. */
const entries = ["cli", "index", "worker", "holder"];
/** Commands that are loaded as one, so that what they share is not cut into many files; the others are the second group. */
const buildCommands = ["build", "check", "plan"];
/** These run anywhere, browsers too: nothing of Node's is in them. */
const pureEntries = ["dockerfile"];
const CHUNK_LIFE_MS = 3_600_000;

/** Makes what `import()` of a command loads one of two files. */
const groupCommands = {
  name: "group-commands",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\/commands\/.*\.ts$/ }, ({ path, kind }) => {
      if (kind !== "dynamic-import") return undefined;
      const group = buildCommands.includes(basename(path, ".ts")) ? "build" : "other";
      return { path: `${group}-commands`, namespace: "commands" };
    });
    onLoad({ filter: /.*/, namespace: "commands" }, ({ path }) => {
      const directory = join(root, "src/cli/commands");
      const wanted = readdirSync(directory).filter(
        (name) => buildCommands.includes(basename(name, ".ts")) === (path === "build-commands"),
      );
      const contents = wanted.map((name) => `export * from "./${name}";`).join("\n");
      return { contents, resolveDir: directory };
    });
  },
};

// bin/slipway compares the sources with this file's time, so that a checkout never runs a stale bundle: what changes while this
// runs is newer.
const begun = new Date();
mkdirSync(dist, { recursive: true });
const fresh = mkdtempSync(join(root, "dist/.new-"));
try {
  const common = {
    absWorkingDir: root,
    outdir: fresh,
    bundle: true,
    format: "esm",
    minifySyntax: true,
    minifyWhitespace: true,
    logLevel: "warning",
  };
  await build({
    ...common,
    entryPoints: pureEntries.map((name) => `src/${name}.ts`),
    platform: "browser",
    target: "es2024",
  });
  for (const name of entries) {
    await build({
      ...common,
      entryPoints: [`src/${name}.ts`],
      splitting: true,
      platform: "node",
      target: "node24",
      external: ["koffi"],
      plugins: [groupCommands],
      banner: {
        js: 'import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);',
      },
    });
  }
  publish();
} catch {
  // esbuild has said what is wrong.
  process.exitCode = 1;
} finally {
  rmSync(fresh, { recursive: true, force: true });
}

/** File by file, chunks (whose names are hashes) before entries: commands that run meanwhile keep what they began with. */
function publish() {
  const names = readdirSync(fresh).sort((one, other) => Number(isEntry(one)) - Number(isEntry(other)));
  for (const name of names) renameSync(join(fresh, name), join(dist, name));
  writeFileSync(join(fresh, ".built"), "");
  utimesSync(join(fresh, ".built"), begun, begun);
  renameSync(join(fresh, ".built"), join(dist, ".built"));
  for (const name of readdirSync(dist)) {
    const isOld = !names.includes(name) && Date.now() - statSync(join(dist, name)).mtimeMs > CHUNK_LIFE_MS;
    if (isOld && name !== ".built" && name !== "types")
      rmSync(join(dist, name), { recursive: true, force: true });
  }
}

function isEntry(name) {
  return [...entries, ...pureEntries].includes(name.replace(/\.js$/, ""));
}
