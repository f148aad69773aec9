import type { BuildOptions, BuildOutput, BuildResult } from "../index.ts";
import { familiarName, parseImageReference } from "../oci/reference.ts";

/** What came out of a build, a line for each image: its id, names and where it went. */
export function describeBuild(
  { images }: BuildResult,
  { tags, outputs }: Pick<BuildOptions, "tags" | "outputs">,
): string {
  const first = images[0]?.target;
  const where = (target: string): string => {
    const mine = (outputs ?? []).filter((output) => (output.target ?? first)?.toLowerCase() === target);
    const texts = [
      ...(target === first ? (tags ?? []) : []),
      ...mine.flatMap((output) => ("names" in output ? output.names : [])),
    ];
    const names = [...new Set(texts.map((text) => familiarName(parseImageReference(text))))];
    return [names.join(", "), ...mine.flatMap(describePlace)].filter((text) => text !== "").join(", ");
  };
  return images
    .map(({ configDigest, target, platform }) => {
      const isOnly = images.every((image) => image.target === target);
      const which = images.length === 1 ? "" : isOnly ? `${platform} ` : `${target} ${platform} `;
      const said = where(target);
      return `${which}${configDigest}${said === "" ? "" : `  ${said}`}\n`;
    })
    .join("");
}

function describePlace(output: BuildOutput): string[] {
  if (output.type === "image") return output.push ? ["pushed"] : [];
  if (output.type === "cacheonly") return ["kept as cache only"];
  const { dest } = output;
  if (typeof dest === "string") return [`written to ${dest}`];
  return ["target" in dest ? "loaded into docker" : "written to stdout"];
}
