import { randomUUID } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { inTransaction } from "./database.ts";

/** A process of another pid namespace counts as dead when it has not been heard of for so long. */
const SILENCE_MS = 120_000;
const HEARTBEAT_MS = 20_000;

/**
 * Says that this process uses the store. Node has no flock, so a row tells who it is: boot, pid namespace, pid and the
 * process's start time, which together name a process once and for all.
 */
export interface Lease extends Disposable {
  readonly id: string;
  readonly bootId: string;
  /** Milliseconds since 1970. What is used after it stays until the lease ends. */
  readonly started: number;
}

interface LeaseRow {
  readonly id: string;
  readonly boot_id: string;
  readonly pid_namespace: string;
  readonly pid: number;
  readonly start_time: string;
  readonly heartbeat: number;
}

export function takeLease(database: DatabaseSync): Lease {
  const id = randomUUID();
  const bootId = readBootId();
  const inserted = Date.now();
  database
    .prepare("INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?)")
    .run(id, bootId, readPidNamespace(), process.pid, readStartTime(process.pid) ?? "", inserted, inserted);
  // Not before others can see the lease: whoever looked at the leases earlier takes what was used until then.
  const started = Date.now();
  const beat = database.prepare("UPDATE leases SET heartbeat = ? WHERE id = ?");
  const timer = setInterval(() => beat.run(Date.now(), id), HEARTBEAT_MS);
  timer.unref();
  return {
    id,
    bootId,
    started,
    [Symbol.dispose]() {
      clearInterval(timer);
      database.prepare("DELETE FROM leases WHERE id = ?").run(id);
    },
  };
}

/** Removes the rows of owners that live no more, and returns their ids. */
export function dropDeadLeases(database: DatabaseSync): string[] {
  const rows = database.prepare("SELECT * FROM leases").all() as unknown as LeaseRow[];
  const dead = rows.filter((row) => !isAlive(row)).map((row) => row.id);
  if (dead.length > 0) {
    inTransaction(database, () => {
      const drop = database.prepare("DELETE FROM leases WHERE id = ?");
      for (const id of dead) drop.run(id);
    });
  }
  return dead;
}

function isAlive(row: LeaseRow): boolean {
  if (row.boot_id !== readBootId()) return false;
  // A pid means nothing in another namespace, nor where the system has no /proc to look it up in.
  const canLookUp = row.pid_namespace !== "" && row.pid_namespace === readPidNamespace();
  if (!canLookUp) return Date.now() - row.heartbeat < SILENCE_MS;
  return readStartTime(row.pid) === row.start_time;
}

/** Where the system has no /proc, one made-up boot: rows are then told apart by their heartbeat alone. */
function readBootId(): string {
  return readOr("", () => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
}

function readPidNamespace(): string {
  return readOr("", () => readlinkSync("/proc/self/ns/pid"));
}

/** Field 22 of /proc/PID/stat (proc(5)), in clock ticks since boot; undefined when there is no such process. */
function readStartTime(pid: number): string | undefined {
  return readOr(undefined, () => {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The command's name may hold spaces and brackets; it ends at the last bracket.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  });
}

function readOr<T>(otherwise: T, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (typeof (error as NodeJS.ErrnoException).code === "string") return otherwise;
    throw error;
  }
}
