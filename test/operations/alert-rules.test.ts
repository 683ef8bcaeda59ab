// Which event is an alert, and when it is over.

import test from "ava";
import { alertingKinds, decideAlert, type FiringAlert, quietAlerts, rules } from "../../operations/alert-rules.js";

const event = (kind: string, about = "a") => ({ kind, about, detail: kind });

test("an alert fires once; each repetition counts and renews it", (t) => {
  const firing = new Map<string, FiringAlert>();
  const [fired] = decideAlert(firing, event("node_silent"), 1_000);
  t.like(fired, { name: "node_silent", severity: "critical", state: "fired", about: "a", count: 1, sinceMs: 1_000 });
  t.deepEqual(decideAlert(firing, event("node_silent"), 2_000), []);
  t.like(firing.get("node_silent:a"), { count: 2, sinceMs: 1_000, lastMs: 2_000 });
});

test("the same rule about two subjects is two alerts", (t) => {
  const firing = new Map<string, FiringAlert>();
  const fingerprints = ["a", "b"].flatMap((about) =>
    decideAlert(firing, event("crashed", about), 0).map(({ fingerprint }) => fingerprint),
  );
  t.deepEqual(fingerprints, ["actor_crashed:a", "actor_crashed:b"]);
});

test("an alert ends with its event, with what it had counted, and may fire anew", (t) => {
  const firing = new Map<string, FiringAlert>();
  decideAlert(firing, event("node_silent"), 1_000);
  decideAlert(firing, event("node_silent"), 2_000);
  t.deepEqual(decideAlert(firing, event("node_heard", "b"), 3_000), [], "another node's return ends nothing here");
  t.like(decideAlert(firing, event("node_heard"), 3_000)[0], { state: "resolved", count: 2, sinceMs: 1_000 });
  t.deepEqual(decideAlert(firing, event("node_heard"), 3_001), [], "and ends once");
  t.like(decideAlert(firing, event("node_silent"), 4_000)[0], { state: "fired", count: 1, sinceMs: 4_000 });
});

test("a node that hung and was killed is silent no more once its next incarnation is ready, and dead no more once it is heard again", (t) => {
  const firing = new Map<string, FiringAlert>();
  for (const kind of ["node_silent", "node_died"]) decideAlert(firing, event(kind), 1_000);
  t.deepEqual(
    decideAlert(firing, event("node_ready"), 2_000).map(({ name, state }) => `${name} ${state}`),
    ["node_silent resolved", "node_died resolved"],
  );
  decideAlert(firing, event("node_died"), 3_000);
  t.like(decideAlert(firing, event("node_heard"), 4_000)[0], { name: "node_died", state: "resolved" });
});

test("every alert is over after its quiet time, once, and not a moment before", (t) => {
  for (const rule of rules) {
    const firing = new Map<string, FiringAlert>();
    decideAlert(firing, event(rule.firesOn), 0);
    decideAlert(firing, event(rule.firesOn), 500);
    t.deepEqual(quietAlerts(firing, 500 + rule.quietAfterMs - 1), []);
    t.like(quietAlerts(firing, 500 + rule.quietAfterMs)[0], { name: rule.name, state: "resolved", count: 2 });
    t.deepEqual(quietAlerts(firing, Number.MAX_SAFE_INTEGER), []);
  }
});

test("what is listened for is what fires or ends a rule, and nothing else is an alert", (t) => {
  for (const { firesOn, endsOn } of rules)
    for (const kind of [firesOn, ...endsOn]) t.true(alertingKinds.includes(kind));
  t.is(new Set(alertingKinds).size, alertingKinds.length);
  t.deepEqual(decideAlert(new Map(), event("vote"), 0), []);
});
