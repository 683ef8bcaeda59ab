// An alerter in a process of its own, to be killed: `node alerter-process.js '{"url", "identity", "webhook", "node", "incarnation"}'`.

import { alerter } from "../../actors/operations/alerter.js";
import { wireAlerter } from "../../actors/wiring/alerter-wiring.js";
import { builtInRuleSet } from "../../operations/health/operations-file.js";
import { Counters, Telemetry } from "../../operations/metrics/telemetry.js";
import { systemClock } from "../../supervision/clock.js";
import { type Credential, identityOf } from "../../transport/access/credentials.js";
import { connectBus } from "../../transport/bus/bus.js";
import { subjectsOf } from "../../transport/subjects.js";
import { smallTree } from "../supervision/small-tree.js";

interface Given {
  readonly url: string;
  readonly identity: Credential;
  readonly webhook: string;
  readonly node: string;
  readonly incarnation: number;
}

const given: Given = JSON.parse(process.argv[2] ?? "{}");
const { url, identity, node, incarnation } = given;
const bus = await connectBus({ url, ...identityOf(identity), name: node, clock: systemClock });
const subjects = subjectsOf("driftmend");
const notify = {
  slack: { webhook: new URL(given.webhook) },
  grouping: { groupWaitMs: 50, groupIntervalMs: 50, repeatIntervalMs: 3_600_000 },
};
const deps = wireAlerter({
  identity: { node, incarnation, run: "r1", origin: `${node}-${process.pid}` },
  bus,
  subjects,
  clock: systemClock,
  telemetry: new Telemetry(bus, subjects, node, new Counters(), systemClock),
  vitals: () => ({}),
  operations: { notify: () => notify, rules: () => builtInRuleSet },
});
const behaviour = () => alerter({ ...deps, lookEveryMs: 25 });
const { tree } = await smallTree([{ id: "alerter", restart: "permanent", behaviour }], {
  deps: { clock: systemClock, node },
});
// Whether it is there at all, also as one that follows.
bus.subscribe(subjects.actor(node, "alerter"), {}, (message) => {
  message.respond(new TextEncoder().encode(JSON.stringify(tree.summary("alerter"))));
});
