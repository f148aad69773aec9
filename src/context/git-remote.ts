import { BuildError } from "../errors/build-error.ts";
import { redactRemote } from "./git-environment.ts";
import { findAuthorization, formatBasic, type SourceSecrets } from "./source-authorization.ts";

/** Where a repository is, and what git says to get in. */
export interface GitRemote {
  /** For git: without a password. Never begins with `-`. */
  readonly address: string;
  readonly authorization?: { readonly scope: string; readonly header: string };
}

const URL_FORM = /^(?:https?|git|ssh):\/\/[^\s/]+\/?\S*$/;
/** `git@host:path`; the host must not look like an option of ssh, nor the path. */
const SCP_FORM = /^[\w.][\w.-]*@[a-zA-Z0-9][a-zA-Z0-9.-]*:(?!-)\S+$/;

/**
 * Takes a remote apart. The schemes http, https, git and ssh and the form `user@host:path` are all that there is: no local path and
 * no helper (`ext::`), for these come from repositories (submodules) and Dockerfiles that nobody trusts.
 *
 * @throws BuildError `option-invalid`.
 */
export function makeGitRemote(
  text: string,
  options: { readonly secrets: SourceSecrets; readonly isForeign?: boolean },
): GitRemote {
  const refuse = (what: string) =>
    new BuildError("option-invalid", `Cannot use the git repository "${redactRemote(text)}": ${what}`);
  if (/[\x00-\x1f\x7f]/.test(text)) throw refuse("it holds control characters");
  if (SCP_FORM.test(text)) return { address: text };
  const url = URL_FORM.test(text) ? URL.parse(text) : null;
  if (url === null) throw refuse("it is none of http://, https://, git://, ssh:// and user@host:path");
  if (url.hostname.startsWith("-") || url.username.startsWith("-")) throw refuse("its host begins with -");
  const isWeb = url.protocol === "http:" || url.protocol === "https:";
  const header = isWeb
    ? findAuthorization(url, {
        ...options,
        prefix: "GIT_AUTH",
        // What GitHub, GitLab and the like take beside a token.
        formatToken: (token) => formatBasic("x-access-token", token),
      })
    : undefined;
  url.password = "";
  if (isWeb) url.username = "";
  const address = url.href;
  return header === undefined ? { address } : { address, authorization: { scope: address, header } };
}

/**
 * The URL of a submodule, which may be relative to its repository's: `../other.git`.
 */
export function resolveSubmoduleUrl(url: string, parent: string): string {
  if (!url.startsWith("./") && !url.startsWith("../")) return url;
  let base = parent.replace(/\/+$/, "");
  let rest = url;
  for (;;) {
    if (rest.startsWith("./")) rest = rest.slice(2);
    else if (rest.startsWith("../")) {
      rest = rest.slice(3);
      const slash = base.lastIndexOf("/");
      const colon = base.lastIndexOf(":");
      // `host:a` becomes `host:`; what stands in front of a URL's path stays.
      if (slash > base.indexOf("://") + 2) base = base.slice(0, slash);
      else if (!base.includes("://") && colon >= 0) return `${base.slice(0, colon + 1)}${rest}`;
    } else return `${base}/${rest}`;
  }
}

/** @throws BuildError `option-invalid` for what git would not take as the name of a branch or tag, or take for something else. */
export function checkRefName(ref: string): void {
  const isName =
    !/[\x00-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|^[-/.+]|\/\.|[/.]$|\.lock$/.test(ref) && ref.length <= 1024;
  if (isName) return;
  throw new BuildError(
    "option-invalid",
    `Cannot use the git reference "${ref}": no branch or tag can have that name`,
  );
}
