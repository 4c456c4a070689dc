/** First file of the store's thread: a thread must turn on the compile cache itself, before any source is loaded. */
import module from "node:module";
import { workerData } from "node:worker_threads";

if (workerData.compileCache !== null) module.enableCompileCache(workerData.compileCache);
await import(new URL(import.meta.url.replace(/worker-start\.mjs$/, workerData.script)));
module.flushCompileCache();
