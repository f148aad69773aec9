import type { BuildOptions, BuildResult } from "../build/build-options.ts";
import { familiarName, parseImageReference } from "../oci/reference.ts";

/** What came out of a build, a line for each image: its id, names and where it went. */
export function describeBuild(
  { images }: BuildResult,
  { tags, outputs }: Pick<BuildOptions, "tags" | "outputs">,
): string {
  const names = (tags ?? []).map((tag) => familiarName(parseImageReference(tag)));
  const places = (outputs ?? []).flatMap((output) => {
    if (output.type === "image") return output.push ? ["pushed"] : [];
    if (output.type === "cacheonly") return ["kept as cache only"];
    const { dest } = output;
    if (typeof dest === "string") return [`written to ${dest}`];
    return ["target" in dest ? "loaded into docker" : "written to stdout"];
  });
  const said = [names.join(", "), ...places].filter((text) => text !== "").join(", ");
  return images
    .map(({ configDigest, target, platform }) => {
      const isOnly = images.every((image) => image.target === target);
      const which = images.length === 1 ? "" : isOnly ? `${platform} ` : `${target} ${platform} `;
      return `${which}${configDigest}${said === "" ? "" : `  ${said}`}\n`;
    })
    .join("");
}
