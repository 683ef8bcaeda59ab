// A root process for tests that starts one child, says its pid, then every crash, and waits to be killed.

import { seededRandom } from "../../models/clock.js";
import { systemClock } from "../../supervision/clock.js";
import { silentLogger } from "../../supervision/logger.js";
import { startProcesses } from "../../supervision/process/process-root.js";

const [child = ""] = process.argv.slice(2);

const root = await startProcesses(
  [{ id: "child", role: "serving", command: process.execPath, args: [child, "serve"], env: {}, shutdownMs: 1_000 }],
  {
    clock: systemClock,
    random: seededRandom(1),
    log: silentLogger,
    intensity: { restarts: 1, withinMs: 1_000 },
    onEvent: (event) => {
      if (event.kind === "crashed") process.stdout.write(`crashed: ${event.cause}\n`);
    },
  },
);
process.stdout.write(`${root.tree().children[0]?.pid}\n`);
