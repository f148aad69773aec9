import { join } from "node:path";
import { redactUrl } from "./url-text.ts";

/** What `--ssh` names: an agent that runs, or files of private keys. */
export type SshIdentity =
  | { readonly kind: "socket"; readonly path: string }
  | { readonly kind: "keys"; readonly paths: readonly string[] };

export interface GitAccess {
  /** The process's own environment, of which proxies and certificate authorities are taken. */
  readonly environment: NodeJS.ProcessEnv;
  /** An empty directory: git finds no settings of the user there. */
  readonly home: string;
  /** `file` is for what slipway itself has in the store; a remote repository never comes from there. */
  readonly protocols: "remote" | "file" | "none";
  /** For requests to URLs that begin with `scope`. */
  readonly authorization?: { readonly scope: string; readonly header: string };
  readonly ssh?: SshIdentity;
  /** A file of slipway's own, where the keys of hosts that are met for the first time go. */
  readonly knownHostsPath: string;
}

const PASSED_ON = [
  "PATH",
  "TMPDIR",
  "no_proxy",
  "NO_PROXY",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "GIT_SSL_CAINFO",
  "GIT_SSL_CAPATH",
] as const;

/** `ext::` runs commands, and `file:` reads what the machine has: neither is among them. */
const PROTOCOLS = { remote: "http:https:git:ssh", file: "file", none: "none" } as const;

/**
 * What git runs with: no settings but these, no prompt, no hooks, no helper programs. Secrets are here because arguments can be
 * seen by everybody on the machine.
 */
export function makeGitEnvironment(access: GitAccess): Record<string, string> {
  const { environment, home, protocols, authorization } = access;
  const settings: [string, string][] = [
    ["core.hooksPath", "/dev/null"],
    ["core.fsmonitor", "false"],
    ["core.attributesFile", "/dev/null"],
    ["core.excludesFile", "/dev/null"],
    ["core.symlinks", "true"],
    ["core.autocrlf", "false"],
    ["credential.helper", ""],
    ["safe.directory", "*"],
    ["gc.auto", "0"],
    ["maintenance.auto", "false"],
    ["init.defaultBranch", "master"],
    ["advice.detachedHead", "false"],
    ["submodule.recurse", "false"],
    // One pack that appears when it is complete: a fetch that was killed leaves no half of a commit.
    ["fetch.unpackLimit", "1"],
    ["http.lowSpeedLimit", "1000"],
    ["http.lowSpeedTime", "60"],
  ];
  if (authorization !== undefined) {
    settings.push([`http.${authorization.scope}.extraHeader`, `Authorization: ${authorization.header}`]);
    // git would take the header along to another host.
    settings.push(["http.followRedirects", "false"]);
  }
  return {
    ...pick(environment, PASSED_ON),
    ...proxies(environment),
    HOME: home,
    LC_ALL: "C",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ALLOW_PROTOCOL: PROTOCOLS[protocols],
    GIT_PROTOCOL_FROM_USER: "0",
    GIT_NO_REPLACE_OBJECTS: "1",
    GIT_SSH_COMMAND: sshCommand(access),
    ...(access.ssh?.kind === "socket" && { SSH_AUTH_SOCK: access.ssh.path }),
    GIT_CONFIG_COUNT: String(settings.length),
    ...Object.fromEntries(
      settings.flatMap(([key, value], position) => [
        [`GIT_CONFIG_KEY_${position}`, key],
        [`GIT_CONFIG_VALUE_${position}`, value],
      ]),
    ),
  };
}

/** A host that is not known is taken at its word once, as docker does each time; one whose key changed is refused. */
function sshCommand({ environment, knownHostsPath, ssh }: GitAccess): string {
  const files = [knownHostsPath, ...(environment.HOME ? [join(environment.HOME, ".ssh/known_hosts")] : [])];
  const options = [
    "BatchMode=yes",
    "StrictHostKeyChecking=accept-new",
    `UserKnownHostsFile=${files.map((path) => `"${path}"`).join(" ")}`,
    "ConnectTimeout=15",
    // Only what was given: the user's own keys are not lent to whatever a Dockerfile names.
    ...(ssh?.kind === "socket" ? ["IdentityFile=none"] : ["IdentityAgent=none"]),
    ...(ssh?.kind === "keys" ? ["IdentitiesOnly=yes"] : []),
    ...(ssh?.kind === "keys" ? ssh.paths.map((path) => `IdentityFile="${path}"`) : []),
    ...(ssh === undefined ? ["IdentityFile=none"] : []),
  ];
  return ["ssh", "-F", "/dev/null", ...options.flatMap((option) => ["-o", quote(option)])].join(" ");
}

/** For the shell that git runs the command with. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** libcurl reads the lower case only. */
function proxies(environment: NodeJS.ProcessEnv): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of ["http_proxy", "https_proxy", "all_proxy"]) {
    const value = environment[name] || environment[name.toUpperCase()];
    if (value) found[name] = value;
  }
  // As for all other requests: this machine is not reached through a proxy.
  const exempt = environment.no_proxy || environment.NO_PROXY;
  return { ...found, no_proxy: [...(exempt ? [exempt] : []), "localhost", "127.0.0.1", "::1"].join(",") };
}

function pick(environment: NodeJS.ProcessEnv, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]])),
  );
}

/** A remote for messages: an scp-like one (`git@host:path`) has no secret, a URL may. */
export function redactRemote(remote: string): string {
  return /^[a-z]+:\/\//i.test(remote) ? redactUrl(remote) : remote;
}
