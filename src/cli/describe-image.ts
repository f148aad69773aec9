import type { InspectedImage } from "../index.ts";
import type { ContainerConfig } from "../oci/image-config.ts";
import { familiarName, familiarRepository, parseImageReference } from "../oci/reference.ts";
import { hide, makeList, makeMap } from "./template/go-value.ts";

/** Go's zero time, which docker shows for "never". */
const NEVER = "0001-01-01T00:00:00Z";

/** An image as `docker image inspect` has it, for JSON and for templates. */
export function describeImage({ config, tags, ...image }: InspectedImage): object {
  const references = tags.map((tag) => ({ ...tag, reference: parseImageReference(tag.name) }));
  const tagged = Math.max(0, ...tags.map(({ updated }) => updated));
  const described = {
    Id: image.configDigest,
    RepoTags: [
      ...new Set(
        references.flatMap(({ reference }) =>
          reference.tag === undefined ? [] : familiarName({ ...reference, digest: undefined }),
        ),
      ),
    ],
    RepoDigests: [
      ...new Set(
        references.flatMap(({ reference, targetDigest }) => {
          const digest = targetDigest ?? reference.digest;
          return digest === undefined ? [] : `${familiarRepository(reference)}@${digest}`;
        }),
      ),
    ],
    Parent: "",
    Comment: config.history?.at(-1)?.comment ?? "",
    Created: trimFraction(config.created ?? new Date(image.created).toISOString()),
    DockerVersion: "",
    Author: config.author ?? "",
    Config: describeConfig(config.config ?? {}),
    Architecture: config.architecture,
    ...(config.variant && { Variant: config.variant }),
    Os: config.os,
    Size: image.sizeBytes,
    GraphDriver: { Data: makeMap(null, ""), Name: "slipway" },
    RootFS: { Type: config.rootfs.type, Layers: config.rootfs.diff_ids },
    Metadata: { LastTagTime: tagged === 0 ? NEVER : new Date(tagged).toISOString() },
  };
  if (!config.variant) hide(described, "Variant", "");
  return described;
}

/** In the order of docker's own structure; what is empty there and left out of its JSON can still be asked for. */
export function describeConfig(config: ContainerConfig): object {
  const described = {};
  for (const [name, value, isLeftOut] of listFields(config)) {
    if (isLeftOut) hide(described, name, value);
    else Object.defineProperty(described, name, { value, enumerable: true });
  }
  return described;
}

function listFields(
  config: ContainerConfig,
): (readonly [name: string, value: unknown, isLeftOut?: boolean])[] {
  const { ExposedPorts, Healthcheck, ArgsEscaped, StopSignal, StopTimeout, Shell } = config;
  return [
    ["Hostname", ""],
    ["Domainname", ""],
    ["User", config.User ?? ""],
    ["AttachStdin", false],
    ["AttachStdout", false],
    ["AttachStderr", false],
    ["ExposedPorts", makeMap(ExposedPorts, {}), ExposedPorts === undefined],
    ["Tty", false],
    ["OpenStdin", false],
    ["StdinOnce", false],
    ["Env", makeList(config.Env)],
    ["Cmd", makeList(config.Cmd)],
    ["Healthcheck", Healthcheck ?? null, Healthcheck === undefined],
    ["ArgsEscaped", ArgsEscaped ?? false, !ArgsEscaped],
    ["Image", ""],
    ["Volumes", makeMap(config.Volumes, {})],
    ["WorkingDir", config.WorkingDir ?? ""],
    ["Entrypoint", makeList(config.Entrypoint)],
    ["NetworkDisabled", false, true],
    ["MacAddress", "", true],
    ["OnBuild", makeList(config.OnBuild)],
    ["Labels", makeMap(config.Labels, "")],
    ["StopSignal", StopSignal ?? "", !StopSignal],
    ["StopTimeout", StopTimeout ?? null, StopTimeout === undefined],
    ["Shell", makeList(Shell), Shell === undefined],
  ];
}

/** As Go's RFC3339Nano has times: no zeros at the end of a fraction. */
export function trimFraction(time: string): string {
  return time.replace(/(\.\d*?)0+(?=\D|$)/, (_, fraction: string) => (fraction === "." ? "" : fraction));
}
