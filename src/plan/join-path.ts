/*
 * POSIX paths as text, for instructions: pure, so that planning runs anywhere (`node:path` does not). Wildcards and
 * backslashes are ordinary characters here.
 */

/** The path, absolute, without `.`, `..`, double and trailing slashes; `..` at the root stays there. */
export function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/** Whether `..` in a path leads above where it begins. */
export function leadsOut(path: string): boolean {
  let depth = 0;
  for (const part of path.split("/")) {
    if (part === "..") depth--;
    else if (part !== "" && part !== ".") depth++;
    if (depth < 0) return true;
  }
  return false;
}

/** `path` seen from `directory`, absolute and clean. */
export function joinPath(directory: string, path: string): string {
  return cleanPath(path.startsWith("/") ? path : `${directory}/${path}`);
}

/** `joinPath` for a destination: what ends in a slash, in `/.`, or is `.` or empty, means a directory and ends in a slash. */
export function joinDestination(directory: string, path: string): string {
  const joined = joinPath(directory, path);
  const isDirectory = path === "" || path === "." || path.endsWith("/") || path.endsWith("/.");
  return isDirectory && joined !== "/" ? `${joined}/` : joined;
}

/** The last part of a path; `/` for the root. */
export function baseName(path: string): string {
  const clean = cleanPath(path);
  return clean === "/" ? "/" : clean.slice(clean.lastIndexOf("/") + 1);
}
