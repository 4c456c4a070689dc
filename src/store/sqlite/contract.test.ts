import { storeContract } from "../contract-suite.ts";
import { openInMemory, openOnDisk } from "./bench.test-support.ts";

storeContract("in memory", async () => openInMemory());
storeContract("on disk", async (t) => openOnDisk(t));
