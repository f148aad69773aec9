import { workerData } from "node:worker_threads";
import { serveWrites } from "./threads/serve-writes.ts";
import type { WriteRing } from "./threads/write-ring.ts";

// What the thread behind a HashedFile starts with.
serveWrites(workerData as WriteRing);
