// Adds a model as an operator does, and is killed (-9, by itself) between two pieces: for many-models.test.ts.

import { packModel } from "../../models/adoption/model-package.js";
import { systemClock } from "../../supervision/clock.js";
import { accessAs, readContext } from "../../transport/access/context.js";
import { connectBus } from "../../transport/bus/bus.js";
import { openModelRegistry } from "../../transport/log/model-registry.js";
import { subjectsOf } from "../../transport/subjects.js";

const [contextFile = "", folder = ""] = process.argv.slice(2);
const found = await readContext(contextFile);
if (found.kind !== "found") throw new Error(`no context: ${found.kind}`);
const { cluster } = found.context;
const bus = await connectBus({ ...accessAs(found.context, "operator"), name: "half", clock: systemClock });
const { package: packed, parts } = await packModel(folder);
await openModelRegistry(bus, systemClock, subjectsOf(cluster)).upload(packed, parts, () =>
  process.kill(process.pid, "SIGKILL"),
);
