// Makes one script of the chunks that esbuild's splitting leaves: each a function that runs when its chunk is first needed. So V8 has
// to do only with what a run uses, and the whole is one file to read.
import { transform } from "esbuild";

/**
 * The script is an expression: a function of require() and its own path, which runs the entry. Chunks may use `__url`, their `import.meta.url`.
 *
 * @param chunks esbuild's `outputFiles`, ECMAScript modules of one directory.
 * @param entry the entry's file name.
 */
export async function linkChunks(chunks, entry) {
  const functions = await Promise.all(
    chunks.map(async ({ path, text }) => {
      const name = path.slice(path.lastIndexOf("/") + 1);
      return `${JSON.stringify(`./${name}`)}(require,module){${await makeBody(text)}}`;
    }),
  );
  return `((require,__file)=>{const chunks={${functions.join(",\n")}};${PRELUDE}need(${JSON.stringify(`./${entry}`)})})`;
}

/**
 * A module of Node's is loaded when something of it is used: some take longer than all else that a short command does. But not those
 * that Node has loaded already, which are used often.
 */
const PRELUDE = `
const __url = require("node:url").pathToFileURL(__file).href, loaded = {};
const need = (name) => loaded[name] ?? (loaded[name] = name in chunks ? run(chunks[name]) : find(name));
const run = (chunk) => { const module = {}; chunk(need, module); return module.exports; };
const find = (name) => /^node:(?!(?:events|fs|path|url|util)$)/.test(name) ? defer(name) : require(name);
const defer = (name) => { let found; return new Proxy({}, { get: (_, key) => (found ??= require(name))[key] }); };
const __import = async (name) => name in chunks ? need(name) : { __proto__: need(name), default: need(name) };
`;

/** A chunk exports when it has run: esbuild's chunks have no cycles, and what ours export does not change. */
async function makeBody(text) {
  const exports = /\bexport(?:\{([^}]*)\}| default ([^;]*));\s*$/.exec(text);
  const [, names, standard] = exports ?? [];
  const exported = names?.split(",").map((name) => name.split(" as ").reverse().join(":")) ?? [];
  if (standard !== undefined) exported.push(`default:${standard}`);
  const { code } = await transform(
    `${text.slice(0, exports?.index).replace(/\bimport\((?=")/g, "__import(")}module.exports={${exported}};`,
    { format: "cjs", platform: "node", target: "node24", charset: "ascii", minifyWhitespace: true },
  );
  if (code.includes("__toCommonJS"))
    throw new Error(`a chunk exports in a way that is not known: ${text.slice(-200)}`);
  return code.trimEnd();
}
