import { BuildError } from "../errors/build-error.ts";
import { type Digest, isDigest } from "./digest.ts";

/**
 * The name of an image, as the grammar of the distribution project's `reference` package (v0.6) reads it, with docker's
 * short names written out. Where it has a tag and a digest, the digest decides and the tag is for people.
 */
export interface ImageReference {
  /** Host with its port: `docker.io`, `localhost:5000`, `[::1]:5000`. */
  readonly registry: string;
  /** Path on the registry: `library/alpine`. */
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const DEFAULT_REGISTRY = "docker.io";
const LEGACY_DEFAULT_REGISTRY = "index.docker.io";
const DEFAULT_TAG = "latest";
const OFFICIAL = "library/";
const REPOSITORY_LENGTH_MAX = 255;

const HOST_LABEL = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const REGISTRY = new RegExp(`^(?:${HOST_LABEL}(?:\\.${HOST_LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`);
const PATH_COMPONENT = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const REPOSITORY = new RegExp(`^${PATH_COMPONENT}(?:/${PATH_COMPONENT})*$`);
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST_FORM = /^[A-Za-z][A-Za-z0-9]*(?:[+.\-_][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;
const IDENTIFIER = /^[a-f0-9]{64}$/;

/**
 * Reads an image's name as docker does: `alpine` is `docker.io/library/alpine:latest`. The tag is `latest` where
 * neither a tag nor a digest is given.
 *
 * @throws BuildError `option-invalid` with the rule that the text breaks.
 */
export function parseImageReference(text: string): ImageReference {
  const refuse = (reason: string, hint?: string) =>
    new BuildError("option-invalid", `Cannot use "${text}" as an image reference: ${reason}`, { hint });
  if (text === "") throw refuse("it is empty");
  if (IDENTIFIER.test(text)) throw refuse("64 hex digits are an image id, not a name");

  const [registry, rest] = splitRegistry(text);
  const at = rest.indexOf("@");
  const name = at < 0 ? rest : rest.slice(0, at);
  const digest = at < 0 ? undefined : rest.slice(at + 1);
  const colon = name.lastIndexOf(":");
  const repository = colon < 0 ? name : name.slice(0, colon);
  const tag = colon < 0 ? undefined : name.slice(colon + 1);

  if (!REGISTRY.test(registry)) throw refuse(`"${registry}" is not a registry's host[:port]`);
  if (repository === "" || repository === OFFICIAL) throw refuse("the repository is missing");
  if (repository !== repository.toLowerCase()) {
    throw refuse("a repository's name must be lowercase", `Did you mean "${text.toLowerCase()}"?`);
  }
  if (!REPOSITORY.test(repository)) {
    throw refuse(
      `"${repository}" is not a repository's name: it has parts of a-z and 0-9, joined by ".", "_", "__" or "-", between slashes`,
    );
  }
  if (repository.length > REPOSITORY_LENGTH_MAX) {
    throw refuse(
      `a repository's name has at most ${REPOSITORY_LENGTH_MAX} characters, not ${repository.length}`,
    );
  }
  if (tag !== undefined && !TAG.test(tag)) {
    throw refuse(
      `"${tag}" is not a tag: it has at most 128 letters, digits, "_", "." and "-", and begins with none of the last two`,
    );
  }
  if (digest === undefined) return { registry, repository, tag: tag ?? DEFAULT_TAG };
  if (!isDigest(digest)) {
    throw refuse(
      DIGEST_FORM.test(digest) && !digest.startsWith("sha256:")
        ? `digests of the kind "${digest.slice(0, digest.indexOf(":"))}" are not supported, only sha256`
        : `"${digest}" is not a digest: it is not "sha256:" and 64 hex digits`,
    );
  }
  return tag === undefined ? { registry, repository, digest } : { registry, repository, tag, digest };
}

/** The full name: `docker.io/library/alpine:latest`, `host:5000/a/b:tag@sha256:...`. */
export function formatImageReference(reference: ImageReference): string {
  return `${reference.registry}/${reference.repository}${formatSuffix(reference)}`;
}

/** The full name under which the store has an image. As docker has it, a digest leaves no room for a tag. */
export function storeName({ tag, ...reference }: ImageReference): string {
  return formatImageReference(
    reference.digest === undefined && tag !== undefined ? { ...reference, tag } : reference,
  );
}

/** The name as docker shows it, without what docker adds by itself: `alpine:latest`, `me/tool:1`, `quay.io/x/y:1`. */
export function familiarName(reference: ImageReference): string {
  return `${familiarRepository(reference)}${formatSuffix(reference)}`;
}

/** The name as docker shows it, without tag and digest: `alpine`, `me/tool`, `quay.io/x/y`. */
export function familiarRepository(reference: Pick<ImageReference, "registry" | "repository">): string {
  const { registry, repository } = reference;
  if (registry !== DEFAULT_REGISTRY) return `${registry}/${repository}`;
  const official = repository.startsWith(OFFICIAL) && !repository.slice(OFFICIAL.length).includes("/");
  return official ? repository.slice(OFFICIAL.length) : repository;
}

function formatSuffix({ tag, digest }: ImageReference): string {
  return `${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

/** docker's rule: the first component is a host when it is `localhost` or has a dot, a colon or an uppercase letter. */
function splitRegistry(text: string): [registry: string, rest: string] {
  const slash = text.indexOf("/");
  const first = text.slice(0, Math.max(slash, 0));
  let registry = DEFAULT_REGISTRY;
  let rest = text;
  if (slash >= 0 && (first === "localhost" || /[.:]/.test(first) || first !== first.toLowerCase())) {
    registry = first === LEGACY_DEFAULT_REGISTRY ? DEFAULT_REGISTRY : first;
    rest = text.slice(slash + 1);
  }
  if (registry === DEFAULT_REGISTRY && !rest.includes("/")) rest = OFFICIAL + rest;
  return [registry, rest];
}
