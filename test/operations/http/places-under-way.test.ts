// How many rows are under way at once: places in the order of asking, under a virtual clock.

import test from "ava";
import { type Asker, askRows, modelAtOnce, Places, PlacesOfModels } from "../../../operations/http/kserve/ask-rows.js";
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

test("a model that never answers holds the rows that are asked of it, and no row of another", async (t) => {
  const clock = new VirtualClock();
  const places = new PlacesOfModels(clock);
  const there = ["slow", "quick"];
  const asked: string[] = [];
  const asker: Asker = {
    infer: (model) => {
      asked.push(model);
      if (model === "slow") return new Promise(() => undefined);
      return Promise.resolve({ kind: "failed", why: "garbled", message: "it was asked", tries: 1 });
    },
  };
  const ask = (model: string, count: number) =>
    askRows(asker, places.of(model, there), clock, {
      model,
      rows: Array.from({ length: count }, (_, index) => ({
        id: `${index}`,
        tensor: () => ({ dt: "<f4", sh: [1], data: new Float32Array(1) }),
      })),
      deadlineMs: 5_000,
      priority: undefined,
      explain: false,
      traceparent: undefined,
      signal: new AbortController().signal,
    });
  for (let request = 0; request < 10; request += 1) void ask("slow", 64);
  await clock.advance(1);
  t.is(asked.length, modelAtOnce);
  t.like(await ask("quick", 1), { kind: "unanswered", row: 0, outcome: { why: "garbled" } });
  t.is(asked.at(-1), "quick");
});

test("the places of a model that is gone are gone with it", async (t) => {
  const places = new PlacesOfModels(new VirtualClock());
  const before = places.of("mail", ["mail"]);
  t.is(places.of("mail", ["mail", "other"]), before);
  places.of("other", ["other"]);
  t.not(places.of("mail", ["mail"]), before);
});
