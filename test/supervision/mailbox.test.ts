// Substrate: the mailbox alone, against a model that is a plain array; sequences by fast-check.

import test from "ava";
import fc from "fast-check";
import { Mailbox } from "../../supervision/actor/mailbox.js";

function drainAll(mailbox: Mailbox): unknown[] {
  return mailbox.drain().map(({ message }) => message);
}

test("a mailbox at its bound refuses, counting what is in flight too", (t) => {
  const mailbox = new Mailbox(2);
  t.true(mailbox.offer("a"));
  t.true(mailbox.offer("b"));
  mailbox.takeOne();
  t.false(mailbox.offer("c"));
  t.is(mailbox.account().refused, 1);
  mailbox.commit();
  t.true(mailbox.offer("c"));
});

test("messages given back keep their order in front of later ones", (t) => {
  const mailbox = new Mailbox(10);
  for (const message of ["a", "b", "c", "d"]) mailbox.offer(message);
  t.deepEqual(mailbox.takeBatch(3), ["a", "b", "c"]);
  mailbox.offer("e");
  mailbox.giveBack();
  t.deepEqual(drainAll(mailbox), ["a", "b", "c", "d", "e"]);
});

test("after a crash a batch is delivered one by one, after a kill as a batch again", (t) => {
  const mailbox = new Mailbox(10);
  for (const message of ["a", "b", "c"]) mailbox.offer(message);
  mailbox.takeBatch(3);
  mailbox.giveBack();
  t.deepEqual(mailbox.takeBatch(3), ["a", "b", "c"]);
  mailbox.giveBack(() => true);
  t.deepEqual(mailbox.takeBatch(3), ["a"]);
});

type Step = "offer" | "take" | "batch" | "commit" | "giveBack" | "crash";

test("no sequence of steps loses, doubles or reorders a message (law 9: nor exceeds the bound)", (t) => {
  const steps = fc.array(fc.constantFrom<Step>("offer", "take", "batch", "commit", "giveBack", "crash"), {
    maxLength: 200,
  });
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 40 }), (sequence, capacity) => {
      const mailbox = new Mailbox(capacity);
      let next = 0;
      let queued: number[] = [];
      let flight: number[] = [];
      for (const step of sequence) {
        if (step === "offer" && mailbox.offer(next)) queued.push(next++);
        if (step === "take" && queued.length > 0 && flight.length === 0) flight = [mailbox.takeOne() as number];
        if (step === "batch" && flight.length === 0) flight = [...mailbox.takeBatch(5)] as number[];
        if (step === "take" || step === "batch") queued = queued.filter((message) => !flight.includes(message));
        if (step === "commit") mailbox.commit();
        if (step === "giveBack") mailbox.giveBack();
        if (step === "crash") mailbox.giveBack(() => false);
        if (step === "giveBack" || step === "crash") queued = [...flight, ...queued];
        if (step === "commit" || step === "giveBack" || step === "crash") flight = [];
        if (mailbox.unaccounted() !== 0 || mailbox.queued + mailbox.inFlight > capacity) return false;
        if (mailbox.queued !== queued.length || mailbox.inFlight !== flight.length) return false;
      }
      mailbox.giveBack();
      return JSON.stringify(drainAll(mailbox)) === JSON.stringify([...flight, ...queued]);
    }),
  );
  t.pass();
});
