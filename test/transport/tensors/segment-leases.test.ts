// The states of leases under any order of words about them.

import test from "ava";
import fc from "fast-check";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { SegmentLeases } from "../../../transport/tensors/segment-leases.js";

const words = ["create", "handed_over", "confirmed", "released", "expired"] as const;

test("whatever is said of leases, late or twice: created = live + released + expired, and each lease moves forward only (S2-39, S2-19)", (t) => {
  const story = fc.array(fc.tuple(fc.constantFrom(...words), fc.integer({ min: 0, max: 3 })), { maxLength: 60 });
  fc.assert(
    fc.property(story, (said) => {
      const told = new Map<string, string[]>();
      const leases = new SegmentLeases(new VirtualClock(), ({ kind, lease }) => {
        told.set(lease.file, [...(told.get(lease.file) ?? []), kind]);
      });
      let made = 0;
      for (const [word, which] of said) {
        const file = `${Math.max(0, made - 1 - which)}`;
        if (word === "create") leases.create({ file: `${made++}`, bytes: 10, about: null }, 1_000);
        else if (word === "released" || word === "expired") leases.end(file, word);
        else leases.advance(file, word);
      }
      const { created, released, expired } = leases.totals;
      t.is(created, leases.all().length + released + expired);
      t.is(leases.liveBytes, 10 * leases.all().length);
      for (const kinds of told.values()) {
        const order = kinds
          .map((kind) => ["created", "handed_over", "confirmed"].indexOf(kind))
          .filter((at) => at >= 0);
        t.deepEqual(order, [...new Set(order)].sort(), "forward, each state once");
        t.true(kinds.filter((kind) => kind === "released" || kind === "expired").length <= 1, "one end");
      }
    }),
  );
});
