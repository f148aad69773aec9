import assert from "node:assert/strict";
import { test } from "node:test";
import { AMD64, ARM64, makeBase, PLAN_OPTIONS, planText } from "../../test/plan-text.ts";
import { parseDockerfile } from "../dockerfile/parse-dockerfile.ts";
import type { CopyStep, Plan, RunStep, Step } from "./plan.ts";
import { planBuild } from "./plan-build.ts";

function runs({ steps }: Plan): readonly RunStep[] {
  return steps.filter((step): step is RunStep => step.kind === "run");
}

function copies({ steps }: Plan): readonly CopyStep[] {
  return steps.filter((step): step is CopyStep => step.kind === "copy");
}

function names({ steps }: Plan): readonly string[] {
  return steps.map(({ name }) => name);
}

test("planBuild() asks for the images that the target stands on, and for no others", () => {
  const syntax = parseDockerfile(
    "FROM golang AS builder\nFROM python AS unused\nFROM alpine\nCOPY --from=builder /a /b\n",
  );
  const result = planBuild(syntax, PLAN_OPTIONS, []);
  assert.ok("needs" in result);
  assert.deepEqual(
    result.needs.map(({ reference, span }) => [reference, span?.startLine]),
    [
      ["alpine", 3],
      ["golang", 1],
    ],
  );
  assert.deepEqual(
    planText(
      "FROM golang AS builder\nFROM python AS unused\nFROM alpine\nCOPY --from=builder /a /b\n",
    ).leftOut.map(({ name }) => name),
    ["unused"],
  );
});

test("planBuild() asks again for what ONBUILD triggers bring in", () => {
  const text = "FROM tools AS helper\nFROM parent\n";
  const images = { parent: { OnBuild: ["COPY --from=helper /h /h", "RUN x"] } };
  const first = planBuild(parseDockerfile(text), PLAN_OPTIONS, [makeBase("parent", AMD64, images.parent)]);
  assert.ok("needs" in first);
  assert.deepEqual(
    first.needs.map(({ reference }) => reference),
    ["tools"],
  );
  const done = planText(text, { images });
  assert.deepEqual(names(done).slice(-2), [
    "[stage-1 2/3] ONBUILD COPY --from=helper /h /h",
    "[stage-1 3/3] ONBUILD RUN x",
  ]);
  assert.equal(done.outputs[0]?.config.config?.OnBuild, undefined);
});

test("planBuild() names steps as docker shows them", () => {
  const text =
    "FROM golang AS builder\nARG v=1\nRUN go build $v $w\nFROM alpine\nWORKDIR /app\nCOPY --from=builder /a /b\n";
  assert.deepEqual(names(planText(text)), [
    "[builder 1/2] FROM docker.io/library/golang:latest",
    "[builder 2/2] RUN go build 1 $w",
    "[stage-1 1/3] FROM docker.io/library/alpine:latest",
    "[stage-1 2/3] WORKDIR /app",
    "[stage-1 3/3] COPY --from=builder /a /b",
  ]);
  assert.deepEqual(names(planText("FROM scratch\nCOPY a /\n")), [
    "[internal] scratch",
    "[internal] load build context",
    "[1/1] COPY a /",
  ]);
});

test("planBuild() gives RUN the image's ENV and the ARGs that it can see", () => {
  const text = "ARG g=global\nFROM a\nARG g\nENV e=env\nARG e=arg\nARG unset\nARG given\nRUN x\n";
  const done = planText(text, {
    images: { a: { Env: ["PATH=/bin"] } },
    buildArgs: { given: "cli", other: "x" },
  });
  assert.deepEqual(runs(done)[0]?.env, ["PATH=/bin", "g=global", "e=arg", "given=cli"]);
  assert.deepEqual(done.outputs[0]?.config.config?.Env, ["PATH=/bin", "e=env"]);
  assert.equal(
    done.outputs[0]?.config.history?.at(-1)?.created_by,
    "RUN |4 g=global e=arg unset= given=cli /bin/sh -c x # buildkit",
  );
  assert.deepEqual(
    done.warnings.map(({ message }) => message),
    ['Build argument "other" is not used: no ARG declares it'],
  );
});

test("planBuild() passes proxies to RUN, and leaves them out of history and environment", () => {
  const done = planText("FROM a\nRUN x\n", { buildArgs: { https_proxy: "http://p:1" } });
  assert.deepEqual(runs(done)[0]?.proxyEnv, ["HTTPS_PROXY=http://p:1", "https_proxy=http://p:1"]);
  assert.equal(done.outputs[0]?.config.history?.at(-1)?.created_by, "RUN /bin/sh -c x # buildkit");
  assert.deepEqual(done.warnings, []);
});

test("planBuild() runs a heredoc in the shell, or as a program of its own when it has a #! line", () => {
  const [shell, script, mixed] = runs(
    planText(
      'FROM a\nRUN <<EOF\necho a\nEOF\nRUN <<-EOF\n\t#!/usr/bin/python3\n\tprint("a")\nEOF\nRUN cat <<A <<-B\na\nA\n\tb\nB\n',
    ),
  );
  assert.deepEqual(shell?.args, ["/bin/sh", "-c", "echo a\n"]);
  assert.equal(shell?.name, "[2/4] RUN <<EOF (echo a)");
  assert.deepEqual(script?.args, ["/bin/sh", "-c", "/dev/pipes/EOF"]);
  assert.deepEqual(script?.files, [
    { path: "/dev/pipes/EOF", content: '#!/usr/bin/python3\nprint("a")\n', mode: 0o755 },
  ]);
  assert.deepEqual(mixed?.args, ["/bin/sh", "-c", "cat <<A <<-B\na\nA\n\tb\nB"]);
});

test("planBuild() resolves WORKDIR, USER and SHELL where RUN and COPY stand", () => {
  const done = planText(
    'FROM a\nWORKDIR /srv\nUSER app:extra\nSHELL ["/bin/bash", "-ec"]\nWORKDIR sub/../x\nRUN y\nCOPY a b c/ .\n',
  );
  const [run] = runs(done);
  assert.deepEqual(
    [run?.workingDirectory, run?.user, run?.args],
    ["/srv/x", "app:extra", ["/bin/bash", "-ec", "y"]],
  );
  assert.deepEqual(
    done.steps.flatMap((step) => (step.kind === "workdir" ? [[step.path, step.user]] : [])),
    [
      ["/srv", ""],
      ["/srv/x", "app:extra"],
    ],
  );
  const [copy] = copies(done);
  assert.equal(copy?.destination, "/srv/x/");
  assert.deepEqual(
    copy?.sources.map((source) => source.kind === "path" && source.path),
    ["/a", "/b", "/c/"],
  );
});

test("planBuild() keeps the pivot of --parents and reads all flags of COPY", () => {
  const [copy] = copies(
    planText(
      "FROM a\nARG m=640\nCOPY --parents --link --chown=1:2 --chmod=$m --exclude=*.o --exclude=x a/./b/*.c /d\n",
    ),
  );
  assert.deepEqual(
    [copy?.parents, copy?.link, copy?.chown, copy?.chmod, copy?.exclude, copy?.destination],
    [true, true, "1:2", "640", ["*.o", "x"], "/d"],
  );
  assert.deepEqual(
    copy?.sources.map((source) => source.kind === "path" && source.path),
    ["/a/./b/*.c"],
  );
});

test("planBuild() makes sources of what ADD downloads", () => {
  const url = "https://example.com/dir/file.tar?x=1";
  const git = "https://example.com/repo.git#v1:sub";
  const done = planText(
    `FROM a\nADD --unpack=true ${url} /x\nADD --keep-git-dir=true ${git} /y\nADD local.tar /z\n`,
  );
  assert.deepEqual(
    done.steps.flatMap((step) => (step.kind === "source" ? [step.source] : [])),
    [
      { kind: "image", reference: "a" },
      { kind: "http", url, checksum: undefined },
      { kind: "git", url: git, keepGitDir: true, checksum: undefined },
      { kind: "context", name: "context" },
    ],
  );
  const [download] = copies(done);
  assert.equal(download?.unpack, true);
  assert.deepEqual(download?.sources, [{ kind: "remote", from: 1, path: "/file.tar" }]);
});

test("planBuild() evaluates mounts with the environment of the RUN", () => {
  const text = [
    "FROM tools AS t",
    "FROM a",
    "ARG d=/data",
    "WORKDIR /w",
    "RUN --mount=from=t,source=bin,target=rel --mount=type=cache,target=$d --mount=type=secret,id=s,env=S \\",
    "  --mount=type=secret,id=dir/f --mount=type=ssh --mount=type=tmpfs,target=/t,size=1m --mount=target=/ctx,rw x",
  ].join("\n");
  const done = planText(text);
  const [run] = runs(done);
  const idOf = (find: (step: Step) => boolean) => done.steps.find(find)!.id;
  const tools = idOf(
    (step) => step.kind === "source" && step.source.kind === "image" && step.source.reference === "tools",
  );
  const context = idOf((step) => step.kind === "source" && step.source.kind === "context");
  const owner = { uid: 0, gid: 0 };
  assert.deepEqual(run?.mounts, [
    { type: "bind", from: tools, source: "/bin", target: "/w/rel", readWrite: false },
    {
      type: "cache",
      id: "/data",
      target: "/data",
      sharing: "shared",
      mode: 0o755,
      ...owner,
      readOnly: false,
    },
    { type: "secret", id: "s", env: "S", required: false, mode: 0o400, ...owner },
    { type: "secret", id: "dir/f", target: "/run/secrets/f", required: false, mode: 0o400, ...owner },
    {
      type: "ssh",
      id: "default",
      target: "/run/buildkit/ssh_agent.0",
      required: false,
      mode: 0o600,
      ...owner,
    },
    { type: "tmpfs", target: "/t", sizeBytes: 1 << 20 },
    { type: "bind", from: context, source: "/", target: "/ctx", readWrite: true },
  ]);
});

test("planBuild() builds for each platform, and does once what does not depend on it", () => {
  const text =
    "FROM --platform=$BUILDPLATFORM go AS b\nRUN prepare\nARG TARGETARCH\nRUN build $TARGETARCH\nFROM alpine\nCOPY --from=b /a /a\nCOPY c /c\n";
  const done = planText(text, { platforms: [AMD64, ARM64] });
  const count = (part: string) => names(done).filter((name) => name.includes(part)).length;
  assert.deepEqual(
    [
      "RUN prepare",
      "RUN build",
      "FROM docker.io/library/go",
      "FROM docker.io/library/alpine",
      "load build context",
    ].map(count),
    [1, 2, 1, 2, 1],
  );
  assert.deepEqual(
    done.outputs.map(({ config }) => config.architecture),
    ["amd64", "arm64"],
  );
  assert.ok(names(done).includes("[linux/arm64 stage-1 1/3] FROM docker.io/library/alpine:latest"));
});

test("steps stand after their inputs", () => {
  const done = planText(
    "FROM a AS x\nRUN 1\nFROM b\nRUN --mount=from=x,target=/m 2\nCOPY --from=x a b\nADD http://h/f /\n",
  );
  for (const step of done.steps) {
    const inputs = JSON.stringify(step).matchAll(/"(?:base|from)":(\d+)/g);
    for (const [, input] of inputs) assert.ok(Number(input) < step.id);
  }
});

test("a named context replaces an image and a stage, whatever tag it is written with", () => {
  const done = planText(
    "FROM busybox:latest AS one\nRUN x\nFROM docker.io/library/alpine\nCOPY --from=one /a /b\n",
    {
      namedContexts: { one: { kind: "files" }, alpine: { kind: "image", reference: "mine:1" } },
    },
  );
  assert.deepEqual(
    done.steps.flatMap((step) => (step.kind === "source" ? [step.source] : [])),
    [
      { kind: "context", name: "one" },
      { kind: "image", reference: "mine:1" },
    ],
  );
  assert.equal(runs(done).length, 0);
});

test("the platform that was asked for is in the config, or else the base's", () => {
  const text = "FROM --platform=linux/arm64 a\n";
  assert.equal(planText(text).outputs[0]?.config.architecture, "amd64");
  assert.equal(planText(text, { implicitPlatform: true }).outputs[0]?.config.architecture, "arm64");
});

test("--label, --no-cache-filter and RUN's options reach the plan", () => {
  const done = planText("FROM a AS one\nLABEL k=1\nRUN --network=none x\nFROM one\nRUN y\n", {
    labels: { k: "2", l: "3" },
    noCacheFilter: ["ONE"],
    network: "host",
    shmSizeBytes: 5,
    buildArgs: { BUILDKIT_SANDBOX_HOSTNAME: "h" },
  });
  assert.deepEqual(done.outputs[0]?.config.config?.Labels, { k: "2", l: "3" });
  assert.deepEqual(
    runs(done).map(({ ignoreCache, network, shmSizeBytes, hostname }) => [
      ignoreCache,
      network,
      shmSizeBytes,
      hostname,
    ]),
    [
      [true, "none", 5, "h"],
      [undefined, "host", 5, "h"],
    ],
  );
});

test("planBuild() says in a warning that another frontend was asked for", () => {
  assert.match(
    planText("# syntax=some/frontend\nFROM a\n").warnings[0]?.message ?? "",
    /frontend "some\/frontend"/,
  );
  assert.deepEqual(planText("# syntax=docker/dockerfile:1.7-labs\nFROM a\n").warnings, []);
});

test("an image that is nearly a stage's name carries the hint to whoever looks for it", () => {
  const done = planText("FROM a AS builder\nFROM b\nCOPY --from=bulider x y\n");
  const source = done.steps.find(
    (step) => step.kind === "source" && step.source.kind === "image" && step.source.hint,
  );
  assert.deepEqual(source?.kind === "source" && source.source, {
    kind: "image",
    reference: "bulider",
    hint: 'Did you mean "builder"?',
  });
});

test("SOURCE_DATE_EPOCH is seconds, a context, or a stage that is one remote ADD", () => {
  const epoch = (text: string, value?: string) =>
    planText(text, { buildArgs: value === undefined ? {} : { SOURCE_DATE_EPOCH: value } }).epoch;
  assert.equal(epoch("FROM a\n"), undefined);
  assert.deepEqual(epoch("ARG SOURCE_DATE_EPOCH=5\nFROM a\n"), { kind: "time", seconds: 5 });
  assert.deepEqual(epoch("ARG SOURCE_DATE_EPOCH=5\nFROM a\n", "context"), {
    kind: "context",
    name: "context",
  });
  const stage = "FROM scratch AS src\nARG v=1\nADD https://x.org/f-$v.tar /\nFROM a\n";
  assert.deepEqual(epoch(stage, "src"), { kind: "http", url: "https://x.org/f-1.tar" });
  assert.throws(() => epoch("FROM scratch AS src\nCOPY a /\nFROM a\n", "src"), {
    message: /does not meet source-only requirements: unsupported COPY instruction/,
    span: { file: "Dockerfile", startLine: 1, endLine: 1, startColumn: 1, endColumn: 20 },
  });
  assert.throws(() => epoch(stage, "scr"), { code: "option-invalid", hint: 'Did you mean "src"?' });
});
