// What a person reads of alerts, and the bytes of what a person orders.

import test from "ava";
import { AlertBook } from "../../../operations/alerts/alert-book.js";
import { renderAlerts, renderSinks } from "../../../operations/terminal/alerts.js";
import { plain } from "../../../operations/terminal/colours.js";
import {
  type AlertOrder,
  encodeAlertOrder,
  encodeAlertReceipt,
  parseAlertOrder,
  parseAlertReceipt,
} from "../../../transport/messages/alert-orders.js";
import { encodeMessage } from "../../../transport/messages/codec.js";

test("nothing fires, and it says so", (t) => {
  t.is(renderAlerts(new AlertBook().list(0), 100, plain), "  nothing fires");
});

test("the list shows what fires first, the worst on top, with who knows of it, and what to do", (t) => {
  const book = new AlertBook();
  book.hear({ kind: "crashed", about: "serving-1/digits/voter", detail: "boom" }, 1_000);
  book.hear({ kind: "node_died", about: "serving-2", detail: "signal SIGKILL\u001b[2J" }, 2_000);
  book.hear({ kind: "node_died", about: "serving-3", detail: "exit code 1" }, 3_000);
  book.hear({ kind: "node_ready", about: "serving-3", detail: "" }, 4_500);
  book.acknowledge("node_died:serving-2", "ada", "", 4_000);
  book.silence({ matches: "knn_failing", untilMs: 3_605_000, by: "ada", note: "planned" });
  t.deepEqual(renderAlerts(book.list(5_000), 120, plain).split("\n"), [
    "  severity  fingerprint                           for    heard              what",
    "  critical  node_died:serving-2                   3.0 s  1      ack by ada  signal SIGKILL\uFFFD[2J",
    "  warning   actor_crashed:serving-1/digits/voter  4.0 s  1                  boom",
    "",
    "  node_died: driftmend tree; read the node's last log lines if it keeps dying",
    "  actor_crashed: the log line of the crash has its stack; repeated crashes end in escalated",
    "",
    "  over  node_died:serving-3  500 ms ago  after 1.5 s  exit code 1",
    "",
    "  silenced  knn_failing  for 1 h 00 m more  by ada  planned",
  ]);
});

test("a test's answers are a table", (t) => {
  const sinks = [
    { name: "slack", target: "slack hooks.slack.com", ok: true, said: "HTTP 200 ok", tookMs: 120 },
    { name: "mail", target: "mail smtp.example.org:587", ok: false, said: "EAUTH 535", tookMs: 80 },
  ];
  t.deepEqual(renderSinks(sinks, 120, plain).split("\n"), [
    "  sink                       test     after   said",
    "  slack hooks.slack.com      took it  120 ms  HTTP 200 ok",
    "  mail smtp.example.org:587  did not  80 ms   EAUTH 535",
  ]);
});

test("orders and receipts come through as they were given; what cannot be meant is refused by field", (t) => {
  const orders: AlertOrder[] = [
    { kind: "ack", fingerprint: "node_died:a", note: "", by: undefined },
    { kind: "silence", matches: "knn_failing", forMs: 3_600_000, note: "planned", by: "page" },
    { kind: "unsilence", matches: "knn_failing" },
    { kind: "test" },
  ];
  for (const order of orders) t.deepEqual(parseAlertOrder(encodeAlertOrder(order)), { kind: "ok", value: order });
  const receipt = { atMs: 1, firing: 2, untilMs: 3, sinks: undefined };
  t.deepEqual(parseAlertReceipt(encodeAlertReceipt(receipt)), {
    kind: "ok",
    value: { kind: "reply", reply: receipt },
  });
  const refused = (fields: Parameters<typeof encodeMessage>[0]) => {
    const parsed = parseAlertOrder(encodeMessage({ v: 1, ...fields }));
    return parsed.kind === "refused" ? parsed.field : parsed.kind;
  };
  t.is(refused({ kind: "forget" }), "kind");
  t.is(refused({ kind: "ack" }), "fingerprint");
  t.is(refused({ kind: "ack", fingerprint: "x".repeat(257) }), "fingerprint");
  t.is(refused({ kind: "silence", matches: "a", forMs: 0 }), "forMs");
  t.is(refused({ kind: "silence", matches: "a", forMs: 1e12 }), "forMs");
});
