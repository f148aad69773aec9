import type { HolderOptions } from "./sandbox/holder-protocol.ts";
import { serveHolder } from "./sandbox/serve-holder.ts";

serveHolder(JSON.parse(process.argv[2]!) as HolderOptions);
