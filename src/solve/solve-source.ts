import type { LazyLayer } from "../image/image-access.ts";
import type { SourceStep } from "../plan/plan.ts";
import type { SourceContext } from "./solve-plan.ts";
import { solveRemote } from "./solve-remote.ts";
import type { Solved } from "./solved.ts";

/** Where files come from. Their bytes are fetched when somebody asks for them. */
export async function solveSource(step: SourceStep, context: SourceContext): Promise<Solved> {
  const { source } = step;
  switch (source.kind) {
    case "scratch":
      return { kind: "rootfs", recordId: "scratch", layers: [] };
    case "image": {
      const { configDigest, layers } = await context.findImage(step);
      const wanted = context.readSources.has(step.id) ? layers.map(withoutLoadIndex) : layers;
      return { kind: "rootfs", recordId: `image ${configDigest}`, layers: wanted };
    }
    case "context": {
      const tree = context.contexts.get(source.name);
      if (tree === undefined) throw new Error(`there is no context "${source.name}"`);
      return { kind: "files", open: async () => tree };
    }
    case "git":
    case "http":
      return solveRemote(step, source, context);
  }
}

/** Who asks for the index gets it with the layer, which is read anyway: a blob is inflated once. */
function withoutLoadIndex({ loadIndex: _, ...layer }: LazyLayer): LazyLayer {
  return layer;
}
