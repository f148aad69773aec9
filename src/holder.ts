import { serveHolder } from "./sandbox/serve-holder.ts";

serveHolder();
