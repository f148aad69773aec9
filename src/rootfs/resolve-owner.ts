import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import { isPlainOwner } from "../oci/is-plain-owner.ts";
import type { Layer } from "./layer.ts";
import { openUnionTree, type UnionTree } from "./union-tree.ts";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The databases of users are small; one that is not is no database. */
export const DATABASE_LIMIT = 16 << 20;

/**
 * Who owns what COPY and ADD (`--chown`) or WORKDIR (the USER in force) make: `user`, `user:group` or `:group`, names or numbers. A
 * user by name brings the primary group, one by number the group of the same number, whatever the databases say. Names are looked up
 * in the `/etc/passwd` and `/etc/group` of the layers that are written over, with `--link`, too.
 * @throws BuildError `option-invalid` for a name that is not there.
 */
export function resolveOwnerIn(text: string, layers: readonly Layer[] = []): Owner {
  using tree = isPlainOwner(text) ? undefined : openUnionTree(layers);
  const openTree = () => {
    if (tree === undefined) throw new Error("a number needs no database");
    return tree;
  };
  const colon = text.indexOf(":");
  const user = colon < 0 ? text : text.slice(0, colon);
  const group = colon < 0 ? "" : text.slice(colon + 1);
  const owner = user === "" ? { uid: 0, gid: 0 } : resolveUser(user, text, openTree);
  return group === "" ? owner : { uid: owner.uid, gid: resolveGroup(group, text, openTree) };
}

function resolveUser(user: string, text: string, openTree: () => UnionTree): Owner {
  const number = parseId(user, text);
  if (number !== undefined) return { uid: number, gid: number };
  const users = readDatabase(openTree(), "/etc/passwd");
  const found = users.find(([name]) => name === user);
  const uid = Number(found?.[2]);
  const gid = Number(found?.[3]);
  if (found === undefined || !Number.isSafeInteger(uid) || !Number.isSafeInteger(gid)) {
    throw unknown(text, `the image has no user "${user}"`, hintName(user, users));
  }
  return { uid, gid };
}

function resolveGroup(group: string, text: string, openTree: () => UnionTree): number {
  const number = parseId(group, text);
  if (number !== undefined) return number;
  const groups = readDatabase(openTree(), "/etc/group");
  const found = groups.find(([name]) => name === group);
  const gid = Number(found?.[2]);
  if (found === undefined || !Number.isSafeInteger(gid))
    throw unknown(text, `the image has no group "${group}"`, hintName(group, groups));
  return gid;
}

function parseId(id: string, text: string): number | undefined {
  if (id === "root") return 0;
  if (!/^[0-9]+$/.test(id)) return undefined;
  const number = Number(id);
  if (number > 0xffff_fffe) throw unknown(text, `${id} is too large`);
  return number;
}

/** The lines of a database, split at colons; none when it does not exist. */
function readDatabase(tree: UnionTree, path: string): string[][] {
  const { entry } = tree.resolve(path);
  if (entry?.entry.type !== "file") return [];
  return tree
    .readWhole(entry, DATABASE_LIMIT)
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(":"));
}

function hintName(name: string, lines: readonly string[][]): string {
  const nearest = hintNearest(
    name,
    lines.flatMap(([known]) => known ?? []),
  );
  return nearest ?? "Add it in a RUN before, or give a number";
}

function unknown(text: string, what: string, hint?: string): BuildError {
  return new BuildError("option-invalid", `Cannot use "${text}" as the owner: ${what}`, { hint });
}
