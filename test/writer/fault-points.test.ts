// A real writer under a process root dies by SIGKILL at each boundary between two phases of its life, one after the other, and at an update
// that kills whoever applies it. Every update is applied once, and the fold of the log gives the committed bits.

import test from "ava";
import { maxDeliver } from "../../operations/log/attempts.js";
import { parseEvent } from "../../transport/messages/events.js";
import { accounted, faultPoints, feed, openLab, replayed, settledChain } from "./writing-root.js";

const testWithinMs = 180_000;

test.serial(
  "a writer killed at every phase boundary: each update counts once, in rising totals, and replays equal (S2-35, S0-46, S0-47)",
  async (t) => {
    t.timeout(testWithinMs);
    const lab = await openLab(t);
    const tasks = 160;
    await feed(lab.log, tasks, 5);
    await lab.start("learning-1", { faults: faultPoints });
    const chain = await settledChain(lab.log);
    const deaths = lab.events.flatMap((event) => (event.kind === "crashed" ? [event.exit] : []));
    t.deepEqual(
      deaths.slice(0, faultPoints.length),
      faultPoints.map(() => ({ kind: "signalled", signal: "SIGKILL" })),
    );
    t.is(Math.max(...lab.events.map(({ generation }) => generation)), faultPoints.length + 1);
    const totals = chain.map(accounted);
    t.deepEqual(
      totals,
      totals.toSorted((one, other) => one - other),
      "a total decreased",
    );
    t.deepEqual(totals.slice(-1), [tasks]);
    t.is(chain.at(-1)?.skipped, undefined, "no update was to blame");
    t.deepEqual(
      chain.map(({ version }) => version),
      chain.map(({ version }) => version).toSorted((one, other) => one - other),
    );
    const { equal, updates, versions } = await replayed(lab);
    t.true(equal);
    t.is(updates, tasks);
    t.is(chain.at(-1)?.version, versions);
  },
);

test.serial(
  "an update that kills the whole process each time is skipped after three tries alone, and replay skips it too (S2-35)",
  async (t) => {
    t.timeout(testWithinMs);
    const lab = await openLab(t);
    const seqs = await feed(lab.log, 40, 6);
    const poisoned: unknown[] = [];
    const listener = await lab.cluster.bus("telemetry");
    listener.subscribe(lab.subjects.event("update_poisoned"), {}, ({ data }) => {
      const event = parseEvent(data);
      if (event.kind === "ok") poisoned.push(...event.value.items);
    });
    await listener.flush();
    await lab.start("learning-1", { poisonAt: seqs[20] ?? 0 });
    const chain = await settledChain(lab.log);
    const last = chain.at(-1);
    t.deepEqual(last?.skipped, { seqs: [21], wholeFrom: 0 });
    t.is(last?.counters.refused.poison, 1);
    t.deepEqual(chain.map(accounted).slice(-1), [40]);
    const deaths = lab.events.filter(({ kind }) => kind === "crashed").length;
    t.true(deaths >= maxDeliver && deaths <= maxDeliver + 2, `${deaths} deaths`);
    await listener.flush();
    t.like(poisoned, [
      { seq: 21, of_seq: seqs[20], attempts: maxDeliver, cause: "the process ended while it was applied" },
    ]);
    const whole = await replayed(lab);
    t.true(whole.equal);
    t.is(whole.updates, 40);
    t.true((await replayed(lab, 21)).equal);
  },
);
