import assert from "node:assert/strict";
import { test } from "node:test";
import type { LazyLayer } from "../image/image-access.ts";
import type { Layer } from "../rootfs/layer.ts";
import { loadRunLayers } from "./load-run-layers.ts";

function makeLayer(id: string): Layer {
  return { id, indexPath: `/${id}`, content: { kind: "tar", tarPath: `/${id}.tar` } };
}

function lazy(id: string, load: () => Promise<Layer>): LazyLayer {
  return { layerId: id, load, findIndex: () => undefined };
}

test("loadRunLayers() prepares a layer while those above it are still loading", async () => {
  const prepared: string[] = [];
  const first = Promise.withResolvers<void>();
  const layers = await loadRunLayers(
    [
      lazy("a", async () => makeLayer("a")),
      // It comes only once the one below is being prepared: otherwise this test never ends.
      lazy("b", () => first.promise.then(() => makeLayer("b"))),
    ],
    async (layer, below) => {
      prepared.push([...below.map(({ id }) => id), layer.id].join(" "));
      first.resolve();
    },
  );
  assert.deepEqual(
    layers.map(({ id }) => id),
    ["a", "b"],
  );
  assert.deepEqual(prepared, ["a", "a b"]);
});

test("loadRunLayers() fails with what failed to load, not with what failed to be prepared", async () => {
  const layers = [
    lazy("a", async () => makeLayer("a")),
    lazy("b", () => Promise.reject(new Error("no such blob"))),
  ];
  const prepare = () => Promise.reject(new Error("no space"));
  await assert.rejects(loadRunLayers(layers, prepare), { message: "no such blob" });
});
