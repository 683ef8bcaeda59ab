// A root process for process-root.test.ts that starts one child, says its pid, and waits to be killed.

import { seededRandom } from "../../models/clock.js";
import { systemClock } from "../../supervision/clock.js";
import { silentLogger } from "../../supervision/logger.js";
import { startProcesses } from "../../supervision/process-root.js";

const [child = ""] = process.argv.slice(2);

const root = await startProcesses(
  [{ id: "child", role: "serving", command: process.execPath, args: [child, "serve"], env: {}, shutdownMs: 1_000 }],
  {
    clock: systemClock,
    random: seededRandom(1),
    log: silentLogger,
    intensity: { restarts: 1, withinMs: 1_000 },
    onEvent: () => undefined,
  },
);
process.stdout.write(`${root.tree().children[0]?.pid}\n`);
