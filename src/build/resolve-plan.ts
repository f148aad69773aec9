import { resolve } from "node:path";
import type { ContextOptions } from "../context/context-options.ts";
import type { ContextTree } from "../context/context-tree.ts";
import { openNamedContext } from "../context/open-context.ts";
import type { SyntaxTree } from "../dockerfile/syntax-tree.ts";
import { attachSpan, BuildError, type SourceSpan } from "../errors/build-error.ts";
import type { ImageAccess, ResolvedImage } from "../image/image-access.ts";
import { openOciLayout } from "../image/open-oci-layout.ts";
import { type ResolveOptions, resolveImage } from "../image/resolve-image.ts";
import { formatPlatform, type Platform } from "../oci/platform.ts";
import type { ImageBase, ImageNeed, NamedContext, Plan, PlanOptions, SourceStep } from "../plan/plan.ts";
import { planBuild } from "../plan/plan-build.ts";

const OCI_LAYOUT = "oci-layout://";
const DOCKER_IMAGE = "docker-image://";

export interface ResolvedPlan {
  readonly plan: Plan;
  /** The image of an image source: known from planning, or, where only files of it are wanted, looked up now. */
  readonly findImage: (step: SourceStep) => Promise<ResolvedImage>;
  /** What planning asked for. */
  readonly bases: readonly ImageBase[];
}

/** Finds each image once. */
type FindImage = (image: {
  readonly reference: string;
  readonly platform: Platform;
}) => Promise<ResolvedImage>;

/** Plans, fetches the configs of the images that the plan asks for, and plans again until it asks for none. */
export async function resolvePlan(
  access: ImageAccess,
  syntax: SyntaxTree,
  options: { readonly plan: PlanOptions; readonly pull?: boolean },
): Promise<ResolvedPlan> {
  const find = makeImageFinder(access, options);
  const { result, bases } = await resolveNeeds((known) => planBuild(syntax, options.plan, known), find);
  return { plan: result, findImage: (step) => findSource(step, find), bases };
}

/** Images by what a Dockerfile or a named context calls them; each is looked up once. */
export function makeImageFinder(access: ImageAccess, { pull }: { readonly pull?: boolean }): FindImage {
  const images = new Map<string, Promise<ResolvedImage>>();
  return ({ reference, platform }) => {
    const key = `${reference} ${formatPlatform(platform)}`;
    let image = images.get(key);
    if (image === undefined) {
      image = openImage(access, reference, { platform, pull });
      image.catch(() => {});
      images.set(key, image);
    }
    return image;
  };
}

/** Asks until nothing is needed any more. */
export async function resolveNeeds<Result extends object>(
  ask: (bases: readonly ImageBase[]) => Result | { readonly needs: readonly ImageNeed[] },
  find: FindImage,
): Promise<{ readonly result: Result; readonly bases: readonly ImageBase[] }> {
  const bases: ImageBase[] = [];
  for (;;) {
    const result = ask(bases);
    if (!("needs" in result)) return { result, bases };
    const found = result.needs.map(async (need) => {
      const { config } = await find(need).catch((error) => {
        throw explain(error, need);
      });
      return { ...need, config };
    });
    bases.push(...(await Promise.all(found)));
  }
}

async function findSource(
  { source, platform }: SourceStep,
  find: (image: { readonly reference: string; readonly platform: Platform }) => Promise<ResolvedImage>,
): Promise<ResolvedImage> {
  if (source.kind !== "image") throw new Error(`a ${source.kind} is no image`);
  const { reference, hint } = source;
  return find({ reference, platform }).catch((error) => {
    throw explain(error, { reference, hint });
  });
}

async function openImage(
  access: ImageAccess,
  reference: string,
  options: ResolveOptions,
): Promise<ResolvedImage> {
  if (reference.startsWith(OCI_LAYOUT))
    return openOciLayout(access, { ...parseLayout(reference), ...options });
  const name = reference.startsWith(DOCKER_IMAGE) ? reference.slice(DOCKER_IMAGE.length) : reference;
  return resolveImage(access, name, options);
}

/** A name like that of a stage was most likely meant for it; the failure to find an image of that name is then the lesser news. */
function explain(
  error: unknown,
  {
    reference,
    hint,
    span,
  }: { readonly reference: string; readonly hint?: string; readonly span?: SourceSpan },
): unknown {
  if (!(error instanceof BuildError)) return error;
  const explained =
    hint === undefined
      ? error
      : new BuildError(
          "stage-unknown",
          `Cannot use "${reference}": no stage has that name, and as an image it cannot be had: ${error.message}`,
          {
            hint,
            cause: error,
          },
        );
  return span === undefined ? explained : attachSpan(explained, span);
}

/** `oci-layout://DIR[:TAG][@DIGEST]`; the digest decides. */
function parseLayout(reference: string): { readonly directory: string; readonly selector?: string } {
  const [, path = "", tag, digest] = /^(.*?)(?::([\w][\w.-]*))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(
    reference.slice(OCI_LAYOUT.length),
  )!;
  const selector = digest ?? tag;
  return { directory: resolve(path), ...(selector !== undefined && { selector }) };
}

/** Sorts `--build-context` values into images, which the plan asks for, and trees of files. */
export async function openNamedContexts(
  contexts: Readonly<Record<string, string>>,
  options: ContextOptions,
): Promise<{
  readonly named: Readonly<Record<string, NamedContext>>;
  readonly trees: ReadonlyMap<string, ContextTree>;
}> {
  const named: Record<string, NamedContext> = {};
  const trees = new Map<string, ContextTree>();
  for (const [name, value] of Object.entries(contexts)) {
    if (value.startsWith(OCI_LAYOUT) || value.startsWith(DOCKER_IMAGE))
      named[name] = { kind: "image", reference: value };
    else {
      named[name] = { kind: "files" };
      trees.set(name, await openNamedContext(value, options));
    }
  }
  return { named, trees };
}
