import assert from "node:assert/strict";
import { test } from "node:test";
import { listTargets } from "../dockerfile/list-targets.ts";
import { lowerInstructions } from "../dockerfile/lower-instructions.ts";
import { parseDockerfile } from "../dockerfile/parse-dockerfile.ts";
import { type Outline, outlineBuild } from "./outline-build.ts";
import type { ImageBase, PlanOptions } from "./plan.ts";

const PLATFORM = { os: "linux", architecture: "amd64" };

function outline(text: string, options: Partial<PlanOptions> = {}): Outline {
  const syntax = parseDockerfile(text);
  const bases: ImageBase[] = [];
  while (true) {
    const result = outlineBuild(
      syntax,
      { platforms: [PLATFORM], buildPlatform: PLATFORM, ...options },
      bases,
    );
    if (!("needs" in result)) return result;
    for (const need of result.needs) {
      bases.push({ ...need, config: { ...PLATFORM, rootfs: { type: "layers", diff_ids: [] } } });
    }
  }
}

// The Dockerfile and what is expected of it are BuildKit's own test of outlines.
const DOCKERFILE = `
ARG inherited=box
ARG inherited2=box2
ARG unused=abc$\{inherited2}
# sfx is a suffix
ARG sfx="usy$\{inherited}"

FROM b$\{sfx} AS first
# this is not assigned to anything
ARG FOO=123
# BAR is a number
ARG BAR=456
RUN true

FROM alpine$\{unused} AS second
ARG BAZ
RUN true

FROM scratch AS third
ARG ABC=a
# check=skip=all
ARG password
# alternate_password will show up in the outline
# check=skip=all
ARG alternate_password

# target defines build target
FROM third AS target
COPY --from=first /etc/passwd /

FROM second
`;

test("outlineBuild() lists the ARGs that count for the target", () => {
  const { name, description, args } = outline(DOCKERFILE, { target: "target", buildArgs: { BAR: "678" } });
  assert.deepEqual([name, description], ["target", "defines build target"]);
  assert.deepEqual(
    args.map((arg) => [arg.name, arg.value, arg.description ?? "", arg.span.startLine]),
    [
      ["inherited", "box", "", 2],
      ["sfx", "usybox", "is a suffix", 6],
      ["FOO", "123", "", 10],
      ["BAR", "678", "is a number", 12],
      ["ABC", "a", "", 20],
      ["password", "", "", 22],
      ["alternate_password", "", "will show up in the outline", 25],
    ],
  );
});

test("outlineBuild() lists secrets and ssh agents once, required when any RUN requires them", () => {
  const { secrets, ssh } = outline(
    "FROM a\nRUN --mount=type=secret,id=s x\nRUN --mount=type=secret,id=s,required --mount=type=ssh y\n",
  );
  assert.deepEqual(
    secrets.map(({ id, required, span }) => [id, required, span?.startLine]),
    [["s", true, 2]],
  );
  assert.deepEqual(
    ssh.map(({ id, required }) => [id, required]),
    [["default", false]],
  );
});

test("listTargets() lists the stages, the last being the default", () => {
  const targets = listTargets(lowerInstructions(parseDockerfile(DOCKERFILE)));
  assert.deepEqual(
    targets.map(({ name, base, isDefault, description }) => [name, base, isDefault, description]),
    [
      ["first", "b${sfx}", false, undefined],
      ["second", "alpine${unused}", false, undefined],
      ["third", "scratch", false, undefined],
      ["target", "third", false, "defines build target"],
      [undefined, "second", true, undefined],
    ],
  );
});
