// A node program whose actor always crashes, two supervisors deep: for escalation.test.ts.
//
//   INCARNATION SPENT    says its starts on stdout, ends with 70 when its tree gives up

import { seededRandom } from "../../models/clock.js";
import { systemClock } from "../../supervision/clock.js";
import { silentLogger } from "../../supervision/logger.js";
import { reportReady, reportSpent, spentIn, watchParent } from "../../supervision/process/parent-watch.js";
import { EscalationError } from "../../supervision/tree/escalation.js";
import { startTree } from "../../supervision/tree/system.js";

const [incarnation = "1", spent = "{}"] = process.argv.slice(2);
const intensity = { restarts: 2, withinMs: 60_000 };
const crashAfterMs = 20;

watchParent(() => process.exit(1));
const tree = await startTree(
  {
    ...{ id: "node", strategy: "one_for_one", intensity },
    children: [
      {
        ...{ id: "subtree", strategy: "one_for_all", intensity },
        children: [
          {
            id: "doomed",
            restart: "permanent",
            behaviour: () => ({
              init: ({ fail, clock }) => {
                process.stdout.write(`start ${incarnation}\n`);
                clock.after(crashAfterMs, () => fail(new Error("it never works")));
              },
              receive: () => undefined,
            }),
          },
        ],
      },
    ],
  },
  {
    ...{ node: "doomed", incarnation: Number(incarnation), clock: systemClock, random: seededRandom(1) },
    ...{ log: silentLogger, onEvent: () => undefined, spent: spentIn(JSON.parse(spent)) },
  },
);
reportReady();
const error = await tree.failed;
await reportSpent(tree.spent());
process.exit(error instanceof EscalationError ? 70 : 1);
