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
    return [typeof output.dest === "string" ? `written to ${output.dest}` : "written to stdout"];
  });
  const said = [names.join(", "), ...places].filter((text) => text !== "").join(", ");
  return images
    .map(({ configDigest, platform }) => {
      const which = images.length > 1 ? `${platform} ` : "";
      return `${which}${configDigest}${said === "" ? "" : `  ${said}`}\n`;
    })
    .join("");
}
