import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import type { CopyStep, RunMount, RunStep, WorkdirStep } from "../plan/plan.ts";
import { makeCopyContentKey, makeCopyKey, makeRunKey, makeWorkdirKey } from "./step-key.ts";

/*
 * One field is changed at a time: a field that decides the result changes the key, one that does not leaves it alone. The lists below
 * are what issue and design say, not what the code reads.
 */

type Fields<T> = { readonly [K in keyof T]-?: fc.Arbitrary<T[K]> };

const text = fc.string({ maxLength: 12 });
const texts = fc.array(text, { maxLength: 3 });
const flag = fc.boolean();
const number = fc.nat(5000);
const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const stepId = fc.nat(9);
const platform = fc.record({
  os: fc.constantFrom("linux", "freebsd"),
  architecture: fc.constantFrom("amd64", "arm64"),
});

const mount: fc.Arbitrary<RunMount> = fc.oneof(
  fc.record({
    type: fc.constant("bind"),
    from: stepId,
    source: text,
    target: text,
    readWrite: flag,
  } as const),
  fc.record({
    type: fc.constant("cache"),
    id: text,
    target: text,
    sharing: fc.constantFrom("shared", "private", "locked"),
    mode: number,
    uid: number,
    gid: number,
    readOnly: flag,
  } as const),
  fc.record({ type: fc.constant("tmpfs"), target: text, sizeBytes: optional(number) } as const),
  fc.record({
    type: fc.constant("secret"),
    id: text,
    target: text,
    required: flag,
    mode: number,
    uid: number,
    gid: number,
  } as const),
  fc.record({
    type: fc.constant("ssh"),
    id: text,
    target: text,
    required: flag,
    mode: number,
    uid: number,
    gid: number,
  } as const),
);

/** In no key: what only people, the machine or this one build see. */
const common = {
  id: fc.nat(99),
  name: text,
  stage: text,
  span: optional(fc.record({ file: text, startLine: number, endLine: number })),
  ignoreCache: optional(flag),
};

const runInKey = {
  platform,
  base: stepId,
  args: texts,
  files: optional(fc.array(fc.record({ path: text, content: text, mode: number }), { maxLength: 2 })),
  env: texts,
  workingDirectory: text,
  user: text,
  mounts: fc.array(mount, { maxLength: 3 }),
  network: fc.constantFrom("default", "none", "host"),
  security: fc.constantFrom("sandbox", "insecure"),
  devices: fc.array(fc.record({ name: text, required: flag }), { maxLength: 2 }),
  hostname: optional(text),
  shmSizeBytes: optional(number),
  ulimits: fc.array(fc.record({ name: text, soft: number, hard: number }), { maxLength: 2 }),
  extraHosts: fc.array(fc.record({ host: text, ip: text }), { maxLength: 2 }),
} as const;
const runInNone = {
  ...common,
  proxyEnv: texts,
  resources: optional(fc.record({ memoryBytes: optional(number), cpuShares: optional(number) })),
} as const;

const source: fc.Arbitrary<CopyStep["sources"][number]> = fc.oneof(
  fc.record({ kind: fc.constant("path"), from: stepId, path: text } as const),
  fc.record({ kind: fc.constant("inline"), name: text, content: text } as const),
  fc.record({ kind: fc.constant("remote"), from: stepId, path: text } as const),
);
const copyInBoth = {
  destination: text,
  chown: optional(text),
  chmod: optional(text),
  link: flag,
  unpack: optional(flag),
};
const copyInDefinition = {
  sources: fc.array(source, { minLength: 1, maxLength: 3 }),
  parents: flag,
  exclude: texts,
};
/** What they are is in the digest of the content, and how they are called does not matter. */
const copyInNone = { ...common, platform, instruction: fc.constantFrom("COPY", "ADD") } as const;

/** Record ids as the steps before have them. */
const inputs = (id: number) => `record ${id}`;

/** Each case changes one of the fields. */
function checkFields<T extends object>(
  fields: Record<string, fc.Arbitrary<unknown>>,
  whole: fc.Arbitrary<T>,
  check: (before: T, after: T, field: string) => void,
): void {
  for (const [field, values] of Object.entries(fields)) {
    fc.assert(
      fc.property(whole, values, (before, value) => {
        fc.pre(!isDeepStrictEqual(strip((before as Record<string, unknown>)[field]), strip(value)));
        check(before, { ...before, [field]: value }, field);
      }),
      { numRuns: 60 },
    );
  }
}

/** A field that is undefined is one that is absent; fast-check's objects have no prototype. */
function strip(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

const run = fc.record({ kind: fc.constant("run"), ...runInKey, ...runInNone }) as fc.Arbitrary<RunStep>;
const copy = fc.record({
  kind: fc.constant("copy"),
  base: stepId,
  ...copyInBoth,
  ...copyInDefinition,
  ...copyInNone,
}) as fc.Arbitrary<CopyStep>;
const workdirInKey = { base: stepId, path: text, user: text };
const workdir = fc.record({
  kind: fc.constant("workdir"),
  ...common,
  platform,
  ...workdirInKey,
}) as fc.Arbitrary<WorkdirStep>;

test("makeRunKey() changes with everything that decides what a RUN does", () => {
  checkFields<RunStep>(runInKey satisfies Partial<Fields<RunStep>>, run, (before, after, field) => {
    assert.notEqual(makeRunKey(before, inputs).key, makeRunKey(after, inputs).key, field);
  });
});

test("makeRunKey() does not change with names, places, proxies and limits", () => {
  checkFields<RunStep>(runInNone, run, (before, after, field) => {
    assert.equal(makeRunKey(before, inputs).key, makeRunKey(after, inputs).key, field);
  });
});

test("makeRunKey() changes with every field of every mount", () => {
  fc.assert(
    fc.property(run, mount, mount, (step, one, other) => {
      fc.pre(!isDeepStrictEqual(strip(one), strip(other)));
      const keyWith = (mounted: RunMount) => makeRunKey({ ...step, mounts: [mounted] }, inputs).key;
      assert.notEqual(keyWith(one), keyWith(other));
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(run, mount, fc.gen(), (step, before, gen) => {
      const field = gen(fc.constantFrom, ...Object.keys(before).filter((name) => name !== "type"));
      const value = (before as unknown as Record<string, unknown>)[field];
      const changed =
        typeof value === "number" ? value + 1 : typeof value === "boolean" ? !value : `${value}x`;
      const after = { ...before, [field]: changed } as RunMount;
      const keyWith = (mounted: RunMount) => makeRunKey({ ...step, mounts: [mounted] }, inputs).key;
      assert.notEqual(keyWith(before), keyWith(after), field);
    }),
    { numRuns: 300 },
  );
});

test("makeRunKey() with the content of bind mounts: that counts, where it came from does not", () => {
  const bind = { type: "bind", from: 1, source: "/a", target: "/m", readWrite: false } as const;
  fc.assert(
    fc.property(run, text, text, (step, one, other) => {
      fc.pre(one !== other);
      const key = (digest: string, from: number, path: string) =>
        makeRunKey({ ...step, mounts: [{ ...bind, from, source: path }] }, inputs, [digest]).key;
      assert.notEqual(key(one, 1, "/a"), key(other, 1, "/a"));
      assert.equal(key(one, 1, "/a"), key(one, 2, "/b"));
    }),
  );
});

test("makeCopyKey() and makeCopyContentKey() change with what decides what a COPY writes", () => {
  checkFields<CopyStep>({ ...copyInBoth, ...copyInDefinition }, copy, (before, after, field) => {
    assert.notEqual(makeCopyKey(before, inputs).key, makeCopyKey(after, inputs).key, field);
  });
  const contentKey = (step: CopyStep, contentDigest: string) =>
    makeCopyContentKey(step, inputs, { contentDigest }).key;
  checkFields<CopyStep>(copyInBoth, copy, (before, after, field) => {
    assert.notEqual(contentKey(before, "c"), contentKey(after, "c"), field);
  });
  fc.assert(
    fc.property(copy, text, text, (step, one, other) => {
      fc.pre(one !== other);
      assert.notEqual(contentKey(step, one), contentKey(step, other));
    }),
  );
});

test("makeCopyContentKey() does not change with names, places and sources; nor does a --link with what is below", () => {
  const contentKey = (step: CopyStep) => makeCopyContentKey(step, inputs, { contentDigest: "c" }).key;
  checkFields<CopyStep>({ ...copyInNone, ...copyInDefinition }, copy, (before, after, field) => {
    assert.equal(contentKey(before), contentKey(after), field);
  });
  checkFields<CopyStep>({ base: stepId }, copy, (before, after) => {
    const isSame = (chown: string | undefined) =>
      contentKey({ ...before, chown }) === contentKey({ ...after, chown });
    for (const chown of [undefined, "1", "1:2", ":2"]) assert.equal(isSame(chown), before.link, chown);
    // Who that is stands in files of the base.
    for (const chown of ["app", "1:app", ":app"]) assert.ok(!isSame(chown), chown);
  });
});

test("makeWorkdirKey() changes with its base, path and user", () => {
  checkFields<WorkdirStep>(workdirInKey, workdir, (before, after, field) => {
    assert.notEqual(makeWorkdirKey(before, inputs).key, makeWorkdirKey(after, inputs).key, field);
  });
  checkFields<WorkdirStep>(common, workdir, (before, after, field) => {
    assert.equal(makeWorkdirKey(before, inputs).key, makeWorkdirKey(after, inputs).key, field);
  });
});

test("steps of different kinds never share a key", () => {
  fc.assert(
    fc.property(run, copy, workdir, (one, two, three) => {
      const keys = [
        makeRunKey(one, inputs).key,
        makeCopyKey(two, inputs).key,
        makeCopyContentKey(two, inputs, { contentDigest: "c" }).key,
        makeWorkdirKey(three, inputs).key,
      ];
      assert.equal(new Set(keys).size, 4);
    }),
  );
});
