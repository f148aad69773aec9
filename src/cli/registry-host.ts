import { BuildError } from "../errors/build-error.ts";
import { parseImageReference } from "../oci/reference.ts";

/** What Docker Hub is called by those who log in to it. */
const DOCKER_HUB = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/**
 * The registry that an argument of `login` or `logout` names; Docker Hub when it is absent. Like docker it takes URLs
 * (`https://registry.example/v2/`), too, and looks at their host only.
 *
 * @throws BuildError `option-invalid` for what is no host.
 */
export function parseRegistryHost(text: string | undefined): string {
  if (text === undefined || text === "") return "docker.io";
  const host = text.replace(/^https?:\/\//i, "").replace(/\/.*$/s, "");
  if (DOCKER_HUB.includes(host.toLowerCase())) return "docker.io";
  // Any repository will do: it is the grammar of hosts that is asked.
  if (host !== "" && isHost(host)) return host;
  throw new BuildError("option-invalid", `Cannot use "${text}" as a registry: it is not host[:port]`);
}

function isHost(host: string): boolean {
  if (!/^[a-zA-Z0-9.:[\]-]+$/.test(host)) return false;
  try {
    // A host without a dot or a port would be read as a part of the repository; its grammar is the same.
    const hasMark = /[.:]/.test(host) || host === "localhost";
    parseImageReference(`${hasMark ? host : `${host}:1`}/a`);
    return true;
  } catch {
    return false;
  }
}
