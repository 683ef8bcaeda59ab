// Rows of a record as the fold takes them.
import test from "ava";
import { emptyAdaptation, foldRow } from "../../models/adaptation/adaptation.js";
import { adaptationRow } from "../../models/adaptation/logged-rows.js";
import { seededRandom } from "../../models/clock.js";
import { answersOf, smallSubject } from "./small-world.js";

const subject = smallSubject();

test("a row that the source alone looked at is folded as a cold one is, and as one that both looked at is not", (t) => {
  const record = answersOf(subject, [0, 1, 2, 1], seededRandom(3));
  const ones = new Uint8Array(4).fill(1);
  const [cold, bySource, plainly] = [{ cold: ones }, { bySource: ones }, {}].map((flags) => {
    const own = emptyAdaptation(subject);
    const rows = { ...record, ...flags };
    // Away from home, whose moments never move.
    const moments = rows.moments.map((moment) => moment + 3);
    for (const index of rows.ids.keys()) foldRow(own, subject, adaptationRow({ ...rows, moments }, index));
    return own;
  });
  t.deepEqual(bySource, cold);
  t.notDeepEqual(bySource, plainly);
});
