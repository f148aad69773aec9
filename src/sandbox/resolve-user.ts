import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import { DATABASE_LIMIT } from "../rootfs/resolve-owner.ts";
import { pathFromText } from "../rootfs/rootfs-path.ts";
import type { UnionTree } from "../rootfs/union-tree.ts";

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups of a user that is named without a group, its own group included. */
  readonly additionalGids: readonly number[];
  /** Of the first line of /etc/passwd with this uid, as the line has it: it may be empty. `/` where there is none. */
  readonly home: string;
}

interface PasswdLine {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupLine {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const ID_MAX = 0xffff_fffe;

/**
 * Reads a USER (`user[:group]`, each a name or a number) against the tree's own /etc/passwd and /etc/group, as docker does:
 * numbers need not be listed, names must be; a group that is named takes the supplementary groups away. Where both are numbers,
 * neither is looked up, and `root` is one.
 *
 * @throws BuildError `variable-invalid` for a name that is not listed.
 */
export function resolveUser(tree: UnionTree, user: string): ResolvedUser {
  const [userPart = "", groupPart = ""] = splitOnce(user);
  const users = readLines(tree, "/etc/passwd").flatMap(parsePasswdLine);
  const homeOf = (uid: number) => users.find((one) => one.uid === uid)?.home ?? "/";
  const [plainUid, plainGid] = [userPart, groupPart].map((part) => (part === "root" ? 0 : parseId(part)));
  if (plainUid !== undefined && plainGid !== undefined)
    return { uid: plainUid, gid: plainGid, additionalGids: [plainGid], home: homeOf(plainUid) };
  const groups = readLines(tree, "/etc/group").flatMap(parseGroupLine);
  const number = parseId(userPart);
  const wanted = userPart === "" ? 0 : number;
  const line = users.find((one) => (wanted === undefined ? one.name === userPart : one.uid === wanted));
  if (line === undefined && wanted === undefined) {
    throw new BuildError(
      "variable-invalid",
      `Cannot use the user "${userPart}": /etc/passwd of the image has no such name`,
      { hint: hintName(userPart, users) },
    );
  }
  const uid = line?.uid ?? wanted!;
  const home = homeOf(uid);
  if (groupPart !== "") {
    const gid = parseId(groupPart) ?? groups.find((group) => group.name === groupPart)?.gid;
    if (gid === undefined) {
      throw new BuildError(
        "variable-invalid",
        `Cannot use the group "${groupPart}": /etc/group of the image has no such name`,
        { hint: hintName(groupPart, groups) },
      );
    }
    return { uid, gid, additionalGids: [gid], home };
  }
  const gid = line?.gid ?? 0;
  const memberOf =
    line === undefined
      ? []
      : groups.filter((group) => group.members.includes(line.name)).map((group) => group.gid);
  return { uid, gid, additionalGids: [...new Set([gid, ...memberOf])], home };
}

function hintName(name: string, lines: readonly { readonly name: string }[]): string {
  const nearest = hintNearest(
    name,
    lines.map((line) => line.name),
  );
  return nearest ?? "Add it in a RUN before USER, or give a number";
}

function splitOnce(user: string): string[] {
  const colon = user.indexOf(":");
  return colon < 0 ? [user] : [user.slice(0, colon), user.slice(colon + 1)];
}

function parseId(text: string): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const id = Number(text);
  if (id > ID_MAX)
    throw new BuildError("variable-invalid", `Cannot use the id "${text}": it is above ${ID_MAX}`);
  return id;
}

/** Lines of a file that may be missing, without the blanks around them; a link is followed inside the tree. */
function readLines(tree: UnionTree, path: string): string[] {
  const { entry } = tree.resolve(pathFromText(path), { followLast: true });
  return entry?.entry.type === "file"
    ? tree
        .readWhole(entry, DATABASE_LIMIT)
        .toString("utf8")
        .split("\n")
        .map((line) => line.trim())
    : [];
}

/** passwd(5). */
function parsePasswdLine(text: string): PasswdLine[] {
  const [name, , uid, gid, , home = ""] = text.split(":");
  if (name === undefined || name === "" || !isNumber(uid) || !isNumber(gid)) return [];
  return [{ name, uid: Number(uid), gid: Number(gid), home }];
}

/** group(5); BuildKit knows comments here, not in the other file. */
function parseGroupLine(text: string): GroupLine[] {
  const [name, , gid, members = ""] = text.split(":");
  if (name === undefined || name === "" || name.startsWith("#") || !isNumber(gid)) return [];
  return [{ name, gid: Number(gid), members: members.split(",") }];
}

function isNumber(text: string | undefined): boolean {
  return text !== undefined && /^\d+$/.test(text);
}
