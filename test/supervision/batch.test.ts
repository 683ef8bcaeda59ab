// Natural batching: what is queued goes in one turn, and a poisoned message is found.

import test from "ava";
import type { BatchBehaviour } from "../../supervision/actor/behaviour.js";
import type { ChildSpec } from "../../supervision/tree/child-spec.js";
import { deferred, smallTree } from "./small-tree.js";

/** Records its batches; crashes when one holds "poison". */
function batching(batches: string[][], batchMax: number, handled: (total: number) => void): ChildSpec<string, unknown> {
  let total = 0;
  const behaviour: BatchBehaviour<string, unknown> = {
    batchMax,
    init: () => undefined,
    receiveBatch: (_state, messages, turn) => {
      batches.push([...messages]);
      if (messages.includes("poison")) throw new Error("poison");
      turn.onCommit(() => {
        total += messages.length;
        handled(total);
      });
    },
  };
  return { id: "batching", restart: "permanent", behaviour: () => behaviour, maxDeliver: 3 };
}

test("a batch takes what is queued up to its bound, without waiting for more", async (t) => {
  const batches: string[][] = [];
  const done = deferred();
  const { tree } = await smallTree([batching(batches, 3, (total) => total === 5 && done.resolve())]);
  const ref = tree.ref<string>("batching");
  for (const message of ["a", "b", "c", "d", "e"]) ref.tell(message);
  await done.promise;
  t.deepEqual(batches, [
    ["a", "b", "c"],
    ["d", "e"],
  ]);
  await tree.stop();
});

test("a crashed batch is delivered one by one: the poison becomes a dead letter, its neighbours are handled (S1-97)", async (t) => {
  const batches: string[][] = [];
  const done = deferred();
  const letters: unknown[] = [];
  const { tree } = await smallTree([batching(batches, 8, (total) => total === 3 && done.resolve())]);
  tree.onDeadLetter(({ message }) => letters.push(message));
  const ref = tree.ref<string>("batching");
  for (const message of ["a", "poison", "b", "c"]) ref.tell(message);
  await done.promise;
  t.deepEqual(batches, [["a", "poison", "b", "c"], ["a"], ["poison"], ["poison"], ["b"], ["c"]]);
  t.deepEqual(letters, ["poison"]);
  await tree.stop();
});
