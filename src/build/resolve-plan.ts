import { resolve } from "node:path";
import type { ContextTree } from "../context/context-tree.ts";
import { openContextTree } from "../context/open-context.ts";
import type { SyntaxTree } from "../dockerfile/syntax-tree.ts";
import { attachSpan } from "../errors/build-error.ts";
import type { ImageAccess, ResolvedImage } from "../image/image-access.ts";
import { openOciLayout } from "../image/open-oci-layout.ts";
import { resolveImage } from "../image/resolve-image.ts";
import { formatPlatform, type Platform } from "../oci/platform.ts";
import type { ImageBase, ImageNeed, NamedContext, Plan, PlanOptions } from "../plan/plan.ts";
import { planBuild } from "../plan/plan-build.ts";

const OCI_LAYOUT = "oci-layout://";
const DOCKER_IMAGE = "docker-image://";

export interface ResolvedPlan {
  readonly plan: Plan;
  /** The image that the plan calls `reference`. */
  readonly findImage: (reference: string, platform: Platform) => ResolvedImage;
}

/** Plans, fetches the configs of the images that the plan asks for, and plans again until it asks for none. */
export async function resolvePlan(
  access: ImageAccess,
  syntax: SyntaxTree,
  options: { readonly plan: PlanOptions; readonly pull?: boolean },
): Promise<ResolvedPlan> {
  const images = new Map<string, ResolvedImage>();
  const bases: ImageBase[] = [];
  for (;;) {
    const planned = planBuild(syntax, options.plan, bases);
    if (!("needs" in planned)) {
      return {
        plan: planned,
        findImage(reference, platform) {
          const image = images.get(imageKey(reference, platform));
          if (image === undefined) throw new Error(`the plan did not ask for the image ${reference}`);
          return image;
        },
      };
    }
    const found = await Promise.all(planned.needs.map((need) => findBase(access, need, options.pull)));
    for (const [position, need] of planned.needs.entries()) {
      const image = found[position]!;
      images.set(imageKey(need.reference, need.platform), image);
      bases.push({ ...need, config: image.config });
    }
  }
}

async function findBase(
  access: ImageAccess,
  need: ImageNeed,
  pull: boolean | undefined,
): Promise<ResolvedImage> {
  const { reference, platform, span } = need;
  try {
    if (reference.startsWith(OCI_LAYOUT))
      return await openOciLayout(access, { ...parseLayout(reference), platform });
    const name = reference.startsWith(DOCKER_IMAGE) ? reference.slice(DOCKER_IMAGE.length) : reference;
    return await resolveImage(access, name, { platform, pull });
  } catch (error) {
    throw span === undefined ? error : attachSpan(error, span);
  }
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
export async function openNamedContexts(contexts: Readonly<Record<string, string>>): Promise<{
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
      trees.set(name, await openContextTree(resolve(value)));
    }
  }
  return { named, trees };
}

function imageKey(reference: string, platform: Platform): string {
  return `${reference} ${formatPlatform(platform)}`;
}
