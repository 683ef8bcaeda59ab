// What a recovery has to fold again is bounded in steps, whatever it consists of.

import test from "ava";
import { isSnapshotDue } from "../../operations/log/snapshot-due.js";

test("a snapshot is due after so many updates, after as much experience, or after some of both", (t) => {
  t.false(isSnapshotDue({ updates: 15, records: 0 }, 16));
  t.true(isSnapshotDue({ updates: 16, records: 0 }, 16));
  t.false(isSnapshotDue({ updates: 1, records: 239 }, 16));
  t.true(isSnapshotDue({ updates: 1, records: 240 }, 16));
  t.false(isSnapshotDue({ updates: 8, records: 127 }, 16));
  t.true(isSnapshotDue({ updates: 8, records: 128 }, 16));
});
