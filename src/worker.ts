import { makeContextTasks } from "./context/context-tasks.ts";
import { makeIgnoreMatcher } from "./dockerfile/make-ignore-matcher.ts";
import { makeLayerTasks } from "./rootfs/layer-tasks.ts";
import { treeTasks } from "./rootfs/tree-tasks.ts";
import { serveTasks } from "./threads/serve-tasks.ts";

// What each worker thread starts with.
serveTasks({ ...makeLayerTasks({ makeIgnoreMatcher }), ...treeTasks, ...makeContextTasks() });
