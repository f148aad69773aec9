import { relative } from "node:path";

/** A file as messages call it: relative where that is short. */
export function shortPath(file: string): string {
  if (!file.startsWith("/")) return file === "-" ? "<stdin>" : file;
  const short = relative(process.cwd(), file);
  return short.startsWith("../../..") || short === "" ? file : short;
}
