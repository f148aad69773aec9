import { serveHolder } from "./sandbox/serve-holder.ts";

const [memoryDirectory, pastaPath] = process.argv.slice(2);
serveHolder(memoryDirectory!, pastaPath);
