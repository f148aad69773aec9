import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { isReadable, type MemberLike, makeLayers, makeTemporaryDirectory } from "../../test/make-layers.ts";
import { BuildError } from "../errors/build-error.ts";
import type { Layer } from "./layer.ts";
import { selectCopy } from "./select-copy.ts";
import { settleDestination } from "./settle-destination.ts";
import { writeCopyLayer } from "./write-copy-layer.ts";

const options = { makeIgnoreMatcher: () => assert.fail() };
const NAMES = ["a", "b"];
const path = fc
  .array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join("/"));
const member: fc.Arbitrary<MemberLike> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ name: path, content: fc.constantFrom("1", "2") }) },
  {
    weight: 4,
    arbitrary: fc.record({ name: path.map((at) => `${at}/`), mode: fc.constantFrom(0o700, 0o1777) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      name: path,
      type: fc.constant("symlink" as const),
      linkName: path.map((to) => `/${to}`),
    }),
  },
  { weight: 1, arbitrary: path.map((name) => ({ name: name.replace(/[^/]*$/, ".wh.$&") })) },
  { weight: 2, arbitrary: path.map((name) => ({ name: `${name}/.wh..wh..opq` })) },
);
const layer = fc.array(member, { minLength: 1, maxLength: 5 });
const copied = fc.array(
  fc.oneof(
    fc.record({ name: path, content: fc.constant("new") }),
    path.map((at) => ({ name: `${at}/` })),
  ),
  { minLength: 1, maxLength: 3 },
);

test("a destination that its upper layers settle gives the layer that all of them give (property)", async (t) => {
  const directory = makeTemporaryDirectory(t);
  let settled = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(layer, { minLength: 2, maxLength: 4 }),
      copied,
      path,
      fc.boolean(),
      async (images, source, to, hasSlash) => {
        const all = await makeLayers(directory, images).catch(() => []);
        const from = await makeLayers(directory, [source]).catch(() => []);
        // Layers that contradict themselves or each other are no image.
        if (from.length === 0 || !all.every((_, at) => isReadable(all.slice(0, at + 1)))) return;
        const selection = selectCopy(
          {
            sources: [{ kind: "path", tree: { kind: "layers", layers: from }, path: "/" }],
            destination: `/${to}${hasSlash ? "/" : ""}`,
            temporaryDirectory: directory,
          },
          options,
        );
        const write = async (base: readonly Layer[]) => {
          try {
            const request = { selection, base, layersDirectory: join(directory, "written") };
            return (await writeCopyLayer(request, options)).diffId;
          } catch (error) {
            if (error instanceof BuildError) return error.message;
            throw error;
          }
        };
        for (let count = 1; count < all.length; count++) {
          const upper = all.slice(-count);
          if (settleDestination({ selection, layers: upper }) !== "none") continue;
          settled++;
          assert.equal(await write(upper), await write(all));
        }
      },
    ),
    { numRuns: 300 },
  );
  // Their number is left to chance.
  assert.ok(settled > 0, "none was settled");
});
