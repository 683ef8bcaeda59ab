// crashes == cleanups: the verdict over records in the order of the stream.

import test from "ava";
import { auditOf } from "../../operations/cleanup/cleanup-audit.js";
import type { CleanupRecord, NodeLife } from "../../transport/messages/events.js";

const life = (incarnation = 1, run = "r1"): NodeLife => ({ node: "learning-1", incarnation, run });
const root = { by: "supervisor", author: "root", atMs: 100 } as const;
const dog = { by: "watchdog", author: "operations-1", atMs: 130 } as const;
const died = (of = life()): CleanupRecord => ({ kind: "died", ...of, ...root, cause: "signal SIGKILL" });
const confirmed = (of = life(), leases = 1): CleanupRecord => ({ kind: "cleanup_confirmed", ...of, ...dog, leases });
const started = (of: NodeLife): CleanupRecord => ({ kind: "started", ...of, ...root });
const overdue = (of = life()): CleanupRecord => ({ kind: "cleanup_overdue", ...of, ...root, waitedMs: 1_000 });

const audit = (...records: readonly CleanupRecord[]) =>
  auditOf(records.map((record, index) => ({ seq: index + 1, record })));

test("a death and its confirmation before the next start are a pair (S0-34, S0-43)", (t) => {
  const found = audit(started(life()), died(), confirmed(), started(life(2)));
  t.like(found, { deaths: 1, confirmations: 1, holds: true, missing: [], doubled: [], late: [], overdue: [] });
  t.deepEqual(found.pairs, [{ ...life(), cause: "signal SIGKILL", by: "watchdog", leases: 1, tookMs: 30 }]);
});

test("a death without a confirmation is missing", (t) => {
  const found = audit(died(), confirmed(), died(life(2)));
  t.like(found, { deaths: 2, confirmations: 1, holds: false, missing: [life(2)] });
});

test("two confirmations of one death are doubled", (t) => {
  t.like(audit(died(), confirmed(), confirmed()), { confirmations: 2, holds: false, doubled: [life()] });
});

test("a confirmation behind the next start is late, unless the root said that its bound had passed (S0-43)", (t) => {
  t.like(audit(died(), started(life(2)), confirmed()), { holds: false, late: [life()] });
  t.like(audit(died(), overdue(), started(life(2)), confirmed()), { holds: true, late: [], overdue: [life()] });
});

test("an overdue cleanup that never came is missing all the same", (t) => {
  t.like(audit(died(), overdue(), started(life(2))), { holds: false, missing: [life()] });
});

test("incarnations of different runs are different lives", (t) => {
  const other = life(1, "r2");
  t.like(audit(died(), confirmed(other)), { holds: false, missing: [life()], unasked: [other] });
  t.like(audit(died(), started(life(2, "r2")), confirmed()), { holds: true, late: [] });
});

test("reclaimed leases are counted and are nobody's death", (t) => {
  const reclaimed: CleanupRecord = { kind: "reclaimed", ...life(), ...dog, key: "digits", why: "stale" };
  t.like(audit(reclaimed), { deaths: 0, confirmations: 0, reclaimed: 1, holds: true });
});
