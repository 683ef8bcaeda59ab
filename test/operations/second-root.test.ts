// A second root of one cluster on a real nats-server, with a node's rights: refused while the first one answers, and only then.

import test from "ava";
import { refuseSecondRoot, SecondRootError } from "../../operations/cluster/second-root.js";
import { systemClock } from "../../supervision/clock.js";
import { identityOf } from "../../transport/access/credentials.js";
import { connectBus } from "../../transport/bus/bus.js";
import { encodeTree } from "../../transport/messages/look-orders.js";
import { inboxPrefixOf } from "../../transport/subjects.js";
import { withTimeouts } from "../../transport/timeouts.js";
import { startCluster } from "../transport/fixture.js";

const tree = { name: "driftmend", kind: "root", generation: 1, state: "running", restarts: 0, children: [] } as const;

test("one root per cluster: a second one is refused by name; one that hangs, or has left, keeps nobody from starting", async (t) => {
  const { broker, subjects, credentials, end } = await startCluster();
  const open = (look: number) =>
    connectBus({
      ...identityOf(credentials.node),
      ...{ url: broker.url, name: "root", clock: systemClock },
      ...{ inboxPrefix: inboxPrefixOf("node"), timeouts: withTimeouts({ look }) },
    });
  const [first, second, hasty] = [await open(30_000), await open(30_000), await open(300)];
  t.teardown(async () => {
    await Promise.all([first.close(), second.close(), hasty.close()]);
    await end();
  });
  await t.notThrowsAsync(refuseSecondRoot({ bus: second, subjects }), "nobody is there");
  let isHung = false;
  first.subscribe(subjects.actor("root", "tree"), {}, (message) => {
    if (!isHung) message.respond(encodeTree(tree));
  });
  await first.flush();
  const error = await t.throwsAsync(refuseSecondRoot({ bus: second, subjects }), { instanceOf: SecondRootError });
  t.regex(error?.message ?? "", /"driftmend".*driftmend node.*--cluster/);
  isHung = true;
  await t.notThrowsAsync(refuseSecondRoot({ bus: hasty, subjects }));
});
