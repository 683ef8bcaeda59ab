// A serving node as a process of its own, for dead-letters.test.ts: the real one, but for an engine to which some pictures are poison.

import { existsSync } from "node:fs";
import { gaveUpExitCode, hostNode } from "../../actors/host/host.js";
import { seededRandom } from "../../models/clock.js";
import { type Engine, startEngine } from "../../models/serving/engine.js";
import { nodeTree } from "../../node.js";
import { systemClock } from "../../supervision/clock.js";
import { openLogger } from "../../supervision/logger.js";
import { reportReady, watchParent } from "../../supervision/process/parent-watch.js";
import { connectBus } from "../../transport/bus/bus.js";
import { inboxPrefixOf, subjectsOf } from "../../transport/subjects.js";
import { poisonOf } from "./poison.js";
import { model } from "./running.js";

const [url = "", password = "", cured = "", flightDir = "", incarnation = "1"] = process.argv.slice(2);

/** "abort" ends the process as a fault in native code does; "throw" ends the actor. Where the file `cured` is, nothing is poison. */
async function openPoisonable(...given: Parameters<typeof startEngine>): Promise<Engine> {
  const engine = await startEngine(...given);
  return {
    died: engine.died,
    runsOn: engine.runsOn,
    close: () => engine.close(),
    run: async (input, rows, parameters, seeds) => {
      const poison = existsSync(cured) ? undefined : poisonOf(input, rows);
      if (poison === "abort") process.abort();
      if (poison === "throw") throw new Error("this picture is poison");
      return engine.run(input, rows, parameters, seeds);
    },
  };
}

watchParent(() => process.exit(gaveUpExitCode));
const node = "serving-1";
const log = openLogger("silent", { node });
const bus = await connectBus({
  url,
  user: "node",
  password,
  inboxPrefix: inboxPrefixOf("node"),
  name: node,
  clock: systemClock,
});
const hosted = await hostNode(
  {
    node,
    incarnation: Number(incarnation),
    pid: process.pid,
    origin: `${node}-${process.pid}`,
    roles: ["serving"],
    models: [model],
    bus,
    subjects: subjectsOf("driftmend"),
    clock: systemClock,
    random: seededRandom(1),
    log,
    version: "0.0.0",
    vitals: () => ({}),
    ...(flightDir === "" ? {} : { flightDir }),
  },
  (wiring) =>
    nodeTree(node, ["serving"], {
      ...wiring,
      models: wiring.models.map((each) => ({
        ...each,
        inference: (buffer) => ({ ...each.inference(buffer), openEngine: openPoisonable }),
      })),
    }),
);
process.once("SIGTERM", () => void hosted.stop().then(() => process.exit(0)));
reportReady();
await hosted.failed;
process.exit(gaveUpExitCode);
