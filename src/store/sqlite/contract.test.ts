import { storeContract } from "../contract-suite.ts";
import { treesContract } from "../trees-suite.ts";
import { workspacesContract } from "../workspaces-suite.ts";
import { openInMemory, openOnDisk } from "./bench.test-support.ts";

storeContract("in memory", async () => openInMemory());
storeContract("on disk", async (t) => openOnDisk(t));

treesContract("in memory", async () => openInMemory());
treesContract("on disk", async (t) => openOnDisk(t));

workspacesContract("in memory", async () => openInMemory());
workspacesContract("on disk", async (t) => openOnDisk(t));
