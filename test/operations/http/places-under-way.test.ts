// How many rows are under way at once: places in the order of asking, under a virtual clock.

import test from "ava";
import { Places } from "../../../operations/http/kserve/ask-rows.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";

test("places are given in the order of asking, and who waits for one waits no longer than it may", async (t) => {
  const clock = new VirtualClock();
  const places = new Places(1, clock);
  const first = await places.take(1_000);
  const got: string[] = [];
  const wait = (name: string, withinMs: number) =>
    places.take(withinMs).then((place) => {
      got.push(place === undefined ? `${name} late` : name);
      return place;
    });
  const waiting = [wait("a", 5_000), wait("b", 100), wait("c", 5_000)];
  await clock.advance(200);
  t.deepEqual(got, ["b late"]);
  first?.();
  const second = await waiting[0];
  t.deepEqual(got, ["b late", "a"]);
  second?.();
  const third = await waiting[2];
  t.deepEqual(got, ["b late", "a", "c"]);
  third?.();
  t.not(await places.take(0), undefined);
});
