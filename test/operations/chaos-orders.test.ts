// Substrate: none. What is said on a chaos subject, in both directions, and how it is shown.
import test from "ava";
import fc from "fast-check";
import type { FaultRecord, FaultReport } from "../../operations/faults/fault-run.js";
import {
  renderActiveChaos,
  renderFaultLine,
  renderFaultReport,
  renderHalted,
} from "../../operations/terminal/chaos.js";
import { plain } from "../../operations/terminal/colours.js";
import {
  type ActiveChaos,
  type ChaosOrder,
  encodeActiveChaos,
  encodeChaosOrder,
  encodeChaosRequest,
  encodeHalted,
  parseActiveChaos,
  parseChaosOrder,
  parseHalted,
} from "../../transport/messages/chaos-orders.js";
import { encodeMessage } from "../../transport/messages/codec.js";
import { inboxPrefixOf, userOfInbox } from "../../transport/subjects.js";

const orders: readonly ChaosOrder[] = [
  { kind: "fault", target: "digits/voter", mode: "hang", forMs: 500, force: true },
  { kind: "list" },
  { kind: "halt" },
  { kind: "claim", id: "n1.1.4", node: "n1", target: "digits/voter", mode: "slow", forMs: 500, force: false, by: "me" },
  { kind: "schedule", id: "s", leaseMs: 5_000 },
  { kind: "release", id: "n1.1.4" },
];

for (const order of orders)
  test(`the order "${order.kind}" comes back as it was`, (t) => {
    t.deepEqual(parseChaosOrder(encodeChaosOrder(order)), { kind: "ok", value: order });
  });

test("a fault without a kind, as it was always asked, is a fault", (t) => {
  t.like(parseChaosOrder(encodeChaosRequest({ target: "updater", mode: "kill" })), {
    kind: "ok",
    value: { kind: "fault", target: "updater", mode: "kill" },
  });
});

test("an order that is not one is refused with the field, and never throws", (t) => {
  for (const [fields, field] of [
    [{ kind: "dance" }, "kind"],
    [{ kind: "fault", target: "a", mode: "kill", force: "yes" }, "force"],
    [{ kind: "claim", id: "a", node: "n", target: "t", mode: "hang" }, "forMs"],
    [{ kind: "schedule", id: "a", leaseMs: 1e9 }, "leaseMs"],
    [{ kind: "release" }, "id"],
  ] as const)
    t.like(parseChaosOrder(encodeMessage({ v: 1, ...fields })), { kind: "refused", field });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      parseChaosOrder(bytes);
      parseActiveChaos(bytes);
      parseHalted(bytes);
    }),
  );
});

const active: ActiveChaos = {
  faults: [
    {
      id: "n1.1.1",
      node: "n1",
      target: "digits/voter",
      mode: "hang",
      beganAtMs: 1_000,
      endsAtMs: 11_000,
      by: "operator",
    },
    { id: "root.1", node: "n2", target: "n2", mode: "sigkill", beganAtMs: 4_000, endsAtMs: null, by: undefined },
  ],
  schedules: [{ id: "s1", beganAtMs: 2_000, by: "operator" }],
};

test("what is active, and what was ended, come back as they were", (t) => {
  t.deepEqual(parseActiveChaos(encodeActiveChaos(active)), { kind: "ok", value: { kind: "reply", reply: active } });
  const halted = { faults: 2, schedules: 1 };
  t.deepEqual(parseHalted(encodeHalted(halted)), { kind: "ok", value: { kind: "reply", reply: halted } });
});

test("the asker's name is read from its own inbox, and not made up where there are no users", (t) => {
  t.is(userOfInbox(`${inboxPrefixOf("operator")}.ABCDEF.1`), "operator");
  t.is(userOfInbox("_INBOX.ABCDEF.1"), undefined);
  t.is(userOfInbox(undefined), undefined);
});

test("the list of faults says what, since when, until when, by whom", (t) => {
  t.is(
    renderActiveChaos(active, 5_000, 100, plain),
    [
      "target           mode          began  ends               by        id",
      "n1/digits/voter  hang      4.0 s ago  in 6.0 s           operator  n1.1.1",
      "n2               sigkill   1.0 s ago  when it is mended            root.1",
      "chaos run        schedule  3.0 s ago  by itself          operator  s1",
    ].join("\n"),
  );
  t.is(renderActiveChaos({ faults: [], schedules: [] }, 0, 100, plain), "no fault is active, no schedule runs");
  t.is(renderHalted({ faults: 1, schedules: 0 }), "ended 1 fault and 0 schedules");
});

const fault: FaultRecord = {
  iteration: 12,
  at: "2026-01-01T00:00:00.000Z",
  target: "serving-1",
  mode: "sigkill",
  pidBefore: 41,
  pidAfter: 42,
  detectMs: 4.2,
  repairMs: 510,
  lost: null,
  cause: "signal SIGKILL",
  hasReceipt: true,
  mended: true,
};
const report: FaultReport = {
  seed: 7,
  probability: 0.01,
  everyMs: 100,
  iterations: 1_200,
  seconds: 120,
  endedBy: "interrupted",
  faults: [fault],
  totals: {
    injected: 1,
    refused: { under_minimum: 2 },
    withoutReceipt: 0,
    notMended: 0,
    lost: 0,
    detectMs: { p50: 4.2, p95: 4.2 },
    repairMs: { p50: null, p95: null },
  },
};

test("a report shows each fault with pids and times, what was refused, and never a figure that was not measured", (t) => {
  const text = renderFaultReport(report, 100, plain);
  t.regex(text, /1 fault in 1,200 iterations, 2 m 00 s, seed 7, interrupted/);
  t.regex(text, /12 {2}serving-1 {2}sigkill +41 +42 +4\.2 ms +510 ms +– {2}signal SIGKILL/);
  t.regex(text, /refused +under_minimum 2/);
  t.regex(text, /repair +not measured/);
  t.regex(renderFaultReport({ ...report, totals: { ...report.totals, notMended: 1 } }, 100, plain), /1 NOT mended/);
  t.regex(renderFaultLine({ ...fault, hasReceipt: false }, plain), /#12 +serving-1 {2}sigkill {2}no receipt/);
});
