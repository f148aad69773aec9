import assert from "node:assert/strict";
import { test } from "node:test";
import { startFaultProxy } from "../../test/start-fault-proxy.ts";
import { parseImageReference } from "../oci/reference.ts";
import { makeRegistryClient } from "./registry-client.ts";

test("the tags of a repository are read page after page; one without tags may say null", async () => {
  await using server = await startFaultProxy(undefined, ({ path }) => {
    if (path === "/v2/") return { kind: "answer", status: 200 };
    if (path === "/v2/none/tags/list") return { kind: "answer", status: 200, body: '{"tags":null}' };
    if (path.endsWith("?n=1&last=a")) return { kind: "answer", status: 200, body: '{"tags":["b"]}' };
    const link = '</v2/x/tags/list?n=1&last=a>; rel="next"';
    return { kind: "answer", status: 200, headers: { link }, body: '{"name":"x","tags":["a"]}' };
  });
  await using client = makeRegistryClient();
  assert.deepEqual(await client.listTags(parseImageReference(`${server.host}/x`)), ["a", "b"]);
  assert.deepEqual(await client.listTags(parseImageReference(`${server.host}/none`)), []);
});
