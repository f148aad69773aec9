import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";

/** A git repository and what of it is meant, as BuildKit reads `URL#ref:subdir` and `URL?key=value`. */
export interface GitReference {
  /** The repository's URL, without fragment and query. */
  readonly remote: string;
  /** The last part of its path, without `.git`: the name of its folder. */
  readonly shortName: string;
  /** Branch, tag or commit; the remote's HEAD when absent. */
  readonly ref?: string;
  /** A commit that `ref` must be. */
  readonly checksum?: string;
  readonly subdirectory?: string;
  readonly keepGitDir?: boolean;
  readonly submodules?: boolean;
  /** `checkout` or `commit`: where modification times come from. */
  readonly modificationTimes?: "checkout" | "commit";
  readonly fetchByCommit?: boolean;
  /** `github.com/a/b` could be a local path; only build contexts take it. */
  readonly looksLocal: boolean;
  /** `git://` or `http://`: nothing protects it. */
  readonly isUnencrypted: boolean;
}

const URL_FORM = /^(https?|git|ssh):\/\/([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s;
const SCP_FORM = /^([a-zA-Z0-9_.-]+@[a-zA-Z0-9.-]+:(?!\/\/)[^?#]+)(?:\?([^#]*))?(?:#(.*))?$/s;

/**
 * Reads a git reference; undefined when the text is none (an image, a file, any other URL).
 *
 * @throws BuildError `option-invalid` when it is one, with a query that contradicts itself or has unknown keys.
 */
export function parseGitReference(text: string): GitReference | undefined {
  if (text.startsWith("./") || text.startsWith("../")) return undefined;
  const looksLocal = text.startsWith("github.com/");
  const url = URL_FORM.exec(looksLocal ? `https://${text}` : text);
  if (url !== null) {
    const [, scheme, rest, query, fragment] = url;
    const slash = rest!.indexOf("/");
    const isWeb = scheme === "http" || scheme === "https";
    // Any web page could be a repository; the suffix says so.
    if (!looksLocal && isWeb && !rest!.endsWith(".git")) return undefined;
    if (slash < 0 && !looksLocal) return undefined;
    if (isWeb && !looksLocal && /:$/.test(rest!)) return undefined;
    const remote = looksLocal ? rest! : `${scheme}://${rest}`;
    return finish(text, {
      remote,
      query,
      fragment,
      looksLocal,
      isUnencrypted: scheme === "http" || scheme === "git",
    });
  }
  const scp = SCP_FORM.exec(text);
  if (scp === null) return undefined;
  return finish(text, {
    remote: scp[1]!,
    query: scp[2],
    fragment: scp[3],
    looksLocal: false,
    isUnencrypted: false,
  });
}

interface Parts {
  readonly remote: string;
  readonly query: string | undefined;
  readonly fragment: string | undefined;
  readonly looksLocal: boolean;
  readonly isUnencrypted: boolean;
}

function finish(text: string, parts: Parts): GitReference {
  const refuse: Refuse = (problem, hint) => {
    throw new BuildError("option-invalid", `Cannot use the git reference "${text}": ${problem}`, { hint });
  };
  const query = parseQuery(parts.query ?? "", refuse);
  const fragment = parts.fragment ?? "";
  const colon = fragment.indexOf(":");
  const refs = [
    colon < 0 ? fragment : fragment.slice(0, colon),
    query.get("ref"),
    withPrefix("refs/tags/", query.get("tag")),
    withPrefix("refs/heads/", query.get("branch")),
  ].filter((ref): ref is string => ref !== undefined && ref !== "");
  if (query.has("tag") && query.has("branch")) refuse("branch conflicts with tag");
  if (new Set(refs).size > 1) refuse(`ref conflicts: "${refs[0]}" vs "${refs[1]}"`);
  const subdirectories = [colon < 0 ? "" : fragment.slice(colon + 1), query.get("subdir") ?? ""].filter(
    Boolean,
  );
  if (new Set(subdirectories).size > 1) {
    refuse(`subdir conflicts: "${subdirectories[0]}" vs "${subdirectories[1]}"`);
  }
  const checksum = query.get("checksum") ?? query.get("commit");
  const times = query.get("mtime");
  if (times !== undefined && times !== "checkout" && times !== "commit")
    refuse(`invalid mtime value: "${times}"`);
  return {
    remote: parts.remote,
    shortName: parts.remote.slice(parts.remote.lastIndexOf("/") + 1).replace(/\.git$/, ""),
    ref: refs[0] ?? checksum,
    checksum,
    subdirectory: subdirectories[0],
    keepGitDir: parseSwitch("keep-git-dir", query, refuse),
    submodules: parseSwitch("submodules", query, refuse),
    modificationTimes: times as GitReference["modificationTimes"],
    fetchByCommit: parseSwitch("fetch-by-commit", query, refuse),
    looksLocal: parts.looksLocal,
    isUnencrypted: parts.isUnencrypted,
  };
}

function withPrefix(prefix: string, name: string | undefined): string | undefined {
  return name === undefined || name.startsWith(prefix) ? name : prefix + name;
}

type Refuse = (problem: string, hint?: string) => never;

const SWITCHES: readonly string[] = ["keep-git-dir", "submodules", "fetch-by-commit"];
const KEYS: readonly string[] = [
  "ref",
  "tag",
  "branch",
  "subdir",
  "checksum",
  "commit",
  "mtime",
  ...SWITCHES,
];

function parseQuery(text: string, refuse: Refuse): ReadonlyMap<string, string> {
  const query = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(text)) {
    if (!KEYS.includes(key)) refuse(`unexpected query "${key}"`, hintNearest(key, KEYS));
    if (query.has(key)) refuse(`query "${key}" has multiple values`);
    if (value === "" && !SWITCHES.includes(key)) refuse(`query "${key}" has no value`);
    query.set(key, value);
  }
  return query;
}

function parseSwitch(key: string, query: ReadonlyMap<string, string>, refuse: Refuse): boolean | undefined {
  const value = query.get(key);
  if (value === undefined) return undefined;
  if (/^(?:|1|t|T|TRUE|true|True)$/.test(value)) return true;
  if (/^(?:0|f|F|FALSE|false|False)$/.test(value)) return false;
  return refuse(`invalid ${key} value: "${value}"`);
}
