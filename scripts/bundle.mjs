// Makes dist/: the command line as one file, of which only what a command needs runs (link-chunks.mjs); for each other entry point a bundle
// with shared chunks, so that who imports it loads only what it uses.
import { createHash } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { linkChunks } from "./link-chunks.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
/** Each is bundled for itself: fewer files to load count for more than what they could share. */
const entries = ["index", "worker", "writer", "holder"];
/** Large, and rarely used: they are no part of the command line's file. */
const lazyPackages = ["undici", "yaml"];
/** These run anywhere, browsers too: nothing of Node's is in them. */
const pureEntries = ["dockerfile"];
const CHUNK_LIFE_MS = 3_600_000;

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
    plugins: [slimUndici()],
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
      banner: {
        js: 'import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);',
      },
    });
  }
  await bundleCommandLine(common);
  publish();
} catch (error) {
  // esbuild has said what is wrong.
  if (error.errors === undefined) console.error(error);
  process.exitCode = 1;
} finally {
  rmSync(fresh, { recursive: true, force: true });
}

/**
 * Function expressions for bin/slipway.cjs: the command line's, of require() and its own path, and a package's, of require(), module and exports. Only ASCII: V8
 * keeps a byte a character then.
 */
async function bundleCommandLine(common) {
  const options = { ...common, format: "cjs", charset: "ascii", platform: "node", target: "node24" };
  for (const name of lazyPackages) {
    const { outputFiles } = await build({ ...options, entryPoints: { [name]: name }, write: false });
    writeNamed(name, `((require,module,exports)=>{${outputFiles[0].text}\n})`);
  }
  const { outputFiles } = await build({
    ...options,
    entryPoints: ["src/cli.ts"],
    format: "esm",
    splitting: true,
    write: false,
    // Not after the exports.
    legalComments: "inline",
    external: ["koffi"],
    plugins: [leaveOut(lazyPackages), skipLibraryEntry()],
    define: { "import.meta.url": "__url" },
  });
  writeNamed("cli", await linkChunks(outputFiles, "cli.js"));
}

/** The first line is a name that no other content has. */
function writeNamed(name, text) {
  const hash = createHash("sha256").update(text).digest("hex");
  writeFileSync(join(fresh, `${name}.cjs`), `//${hash}\n${text}`);
}

/**
 * Of undici what `src/registry/http-connections.ts` uses: its index loads all that it has, and HTTP/2, which is switched off there, takes Node longer to load
 * than the rest (96 ms for all, 30 for this, on a slow machine).
 */
function slimUndici() {
  const files = {
    Agent: "dispatcher/agent.js",
    Pool: "dispatcher/pool.js",
    ProxyAgent: "dispatcher/proxy-agent.js",
    buildConnector: "core/connect.js",
  };
  const load = (path) => `require("undici/lib/${path}")`;
  const exported = Object.entries(files).map(([name, path]) => `${name}: ${load(path)}`);
  const contents = `Object.assign(${load("dispatcher/dispatcher.js")}.prototype, ${load("api/index.js")});
    module.exports = { ${exported} };`;
  return {
    name: "slim-undici",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^undici$/ }, () => ({ path: "undici", namespace: "slim" }));
      onResolve({ filter: /^node:http2$/ }, ({ importer }) =>
        importer.includes("/node_modules/undici/") ? { path: "http2", namespace: "slim" } : undefined,
      );
      onLoad({ filter: /^undici$/, namespace: "slim" }, () => ({ contents, resolveDir: root }));
      onLoad({ filter: /^http2$/, namespace: "slim" }, () => ({ contents: "exports.constants = {};" }));
    },
  };
}

/** Takes packages from files of their names beside the bundle. */
function leaveOut(packages) {
  return {
    name: "leave-out",
    setup({ onResolve }) {
      onResolve({ filter: new RegExp(`^(?:${packages.join("|")})$`) }, ({ path }) => ({
        path: `./${path}.cjs`,
        external: true,
      }));
    },
  };
}

/** Makes an import of the command line from src/index.ts one from the file behind it: else each command would run all modules of the library. */
function skipLibraryEntry() {
  const index = readFileSync(join(root, "src/index.ts"), "utf8");
  const files = new Map();
  for (const [, names, file] of index.matchAll(/^export \{([^}]*)\} from "\.\/([^"]+)";$/gm)) {
    for (const name of listNames(names)) files.set(name, file);
  }
  const bind = (_, names, up) =>
    listNames(names)
      .map((name) => `import { ${name} } from "${up}${files.get(name)}";`)
      .join(" ");
  return {
    name: "skip-library-entry",
    setup({ onLoad }) {
      onLoad({ filter: /\/src\/cli\/.*\.ts$/ }, ({ path }) => ({
        contents: readFileSync(path, "utf8").replace(
          /^import \{([^}]*)\} from "((?:\.\.\/)+)index\.ts";$/gm,
          bind,
        ),
        loader: "ts",
      }));
    },
  };
}

/** Values only. */
function listNames(text) {
  return text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "" && !name.startsWith("type "));
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
    if (isOld && ![".built", "types"].includes(name) && !name.endsWith(".code"))
      rmSync(join(dist, name), { recursive: true, force: true });
  }
}

function isEntry(name) {
  return [...entries, ...pureEntries, "cli"].includes(name.replace(/\.c?js$/, ""));
}
