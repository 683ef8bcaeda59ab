// The desk closes every request exactly once: answered, or refused by name.

import test from "ava";
import { type Closed, Desk, deskDefaults, type OpenRequest } from "../../actors/serving/desk.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { Askers, openAt, wantedRequest } from "./small-node.js";

interface Scene {
  readonly clock: VirtualClock;
  readonly desk: Desk;
  readonly closed: Closed[];
  readonly askers: Askers;
}

function scene(openMax = deskDefaults.openMax, policy = deskDefaults.policy): Scene {
  const clock = new VirtualClock();
  const closed: Closed[] = [];
  const desk = new Desk(clock, (one) => closed.push(one), { ...deskDefaults, openMax, policy });
  return { clock, desk, closed, askers: new Askers() };
}

const payload = new Uint8Array([1]);

test("a request is opened, settled once, and everything that comes later is ignored", (t) => {
  const { desk, closed, askers } = scene();
  const request = openAt(desk, askers, "a");
  t.true(desk.isOpen(request));
  desk.settle(request, payload);
  desk.settle(request, payload);
  desk.refuse(request, "internal", "too late");
  t.deepEqual(askers.heard, ["answer a"]);
  t.false(desk.isOpen(request));
  t.deepEqual(
    closed.map(({ code }) => code),
    [undefined],
  );
});

test("the requests of a batch are answered together: those that are still open, each delivery of them, told once", (t) => {
  const { clock, askers } = scene();
  const told: (readonly [readonly string[], number])[] = [];
  const closed: Closed[] = [];
  const desk = new Desk(clock, {
    closed: (one) => closed.push(one),
    answered: (requests, nowMs) => told.push([requests.map(({ id }) => id), nowMs]),
  });
  let released = 0;
  const held = {
    ...{ bytes: new Uint8Array(new SharedArrayBuffer(1)), retain: () => undefined, onFree: () => undefined },
    release: () => {
      released += 1;
    },
  };
  const [a, b, c] = ["a", "b", "c"].map((id) => openAt(desk, askers, id, { held }));
  if (a === undefined || b === undefined || c === undefined) return t.fail();
  desk.open(wantedRequest("c"), askers.answererOf("c again"));
  desk.refuse(b, "deadline", "too late");
  const asked: number[] = [];
  const payloadOf = (place: number): Uint8Array => {
    asked.push(place);
    return payload;
  };
  desk.settleAll([a, b, c], payloadOf);
  desk.settleAll([a, c], payloadOf);
  t.deepEqual(asked, [0, 2], "nothing is encoded for who is gone");
  t.deepEqual(askers.heard, ["refused b deadline", "answer a", "answer c", "answer c again"]);
  t.deepEqual(told.slice(0, 1), [[["a", "c"], clock.monotonicMs()]]);
  t.deepEqual(
    told.slice(1).flatMap(([ids]) => ids),
    [],
  );
  t.deepEqual([closed.map(({ code }) => code), released, desk.size], [["deadline"], 3, 0]);
});

test("whoever listens to a batch can be told later: of the moment when it was answered", async (t) => {
  const { clock, askers } = scene();
  const told: number[] = [];
  const desk = new Desk(clock, { closed: () => t.fail(), answered: (_requests, nowMs) => told.push(nowMs) });
  const request = openAt(desk, askers, "a");
  const answeredAtMs = clock.monotonicMs();
  const due: (() => void)[] = [];
  desk.settleAll(
    [request],
    () => payload,
    (tell) => due.push(tell),
  );
  t.deepEqual([askers.heard, told, desk.size], [["answer a"], [], 0]);
  await clock.advance(5);
  for (const tell of due) tell();
  t.deepEqual(told, [answeredAtMs]);
});

test("an answer that cannot be made leaves those before it answered and told, and itself and those behind it open", (t) => {
  const { desk, closed, askers } = scene();
  const requests = ["a", "b", "c"].map((id) => openAt(desk, askers, id));
  const broken = () =>
    desk.settleAll(requests, (place) => {
      if (place === 1) throw new Error("no such row");
      return payload;
    });
  t.throws(broken, { message: "no such row" });
  t.deepEqual(askers.heard, ["answer a"]);
  t.deepEqual([closed.length, desk.size], [1, 2]);
});

test("a second delivery of an open id joins it: one request, each delivery answered", (t) => {
  const { desk, closed, askers } = scene();
  const request = openAt(desk, askers, "a");
  t.is(desk.open(wantedRequest("a"), askers.answererOf("a again")).kind, "joined");
  t.is(desk.size, 1);
  desk.settle(request, payload);
  t.deepEqual(askers.heard, ["answer a", "answer a again"]);
  t.is(closed.length, 1);
});

test("those who may wait for one request are bounded: one too many is refused and the others are answered", (t) => {
  const { desk, askers } = scene();
  const request = openAt(desk, askers, "a");
  const again = () => desk.open(wantedRequest("a"), askers.answererOf("again"));
  while (again().kind === "joined") t.true(desk.size === 1);
  t.like(again(), { kind: "refused", code: "overloaded" });
  desk.settle(request, payload);
  t.is(askers.heard.length, 64);
});

test("after its close the same id is a new request", (t) => {
  const { desk, askers } = scene();
  const first = openAt(desk, askers, "a");
  desk.settle(first, payload);
  const second = openAt(desk, askers, "a");
  t.not(first.key, second.key);
  desk.settle(first, payload);
  t.true(desk.isOpen(second), "the late answer to the first one does not close the second");
});

test("(S2-31) a request that is open at its deadline is refused `deadline`, not before and not twice", async (t) => {
  const { clock, desk, closed, askers } = scene();
  const request = openAt(desk, askers, "a", { deadlineMs: 100 });
  const patient = openAt(desk, askers, "b", { deadlineMs: 500 });
  await clock.advance(99);
  t.deepEqual(askers.heard, []);
  await clock.advance(11);
  t.deepEqual(askers.heard, ["refused a deadline"]);
  desk.settle(request, payload);
  t.deepEqual(askers.heard, ["refused a deadline"]);
  t.true(desk.isOpen(patient));
  t.is(closed[0]?.code, "deadline");
  t.true((closed[0]?.tookMs ?? 0) >= 100);
});

test("below the default priority requests are shed first, and at the bound every one is refused", (t) => {
  const { desk, askers } = scene(10);
  for (let i = 0; i < 7; i += 1) openAt(desk, askers, `early${i}`, { priority: 0 });
  openAt(desk, askers, "eighth", { priority: 0 });
  const shed = desk.open(wantedRequest("low", { priority: 4 }), askers.answererOf("low"));
  t.like(shed, { kind: "refused", code: "shed" });
  t.true(shed.kind === "refused" && shed.retryAfterMs > 0);
  openAt(desk, askers, "ninth", { priority: 5 });
  openAt(desk, askers, "tenth", { priority: 5 });
  t.like(desk.open(wantedRequest("eleventh", { priority: 10 }), askers.answererOf("eleventh")), {
    kind: "refused",
    code: "overloaded",
  });
  t.is(desk.open(wantedRequest("tenth"), askers.answererOf("tenth again")).kind, "joined", "joining opens nothing");
  t.is(desk.size, 10);
  t.deepEqual(askers.heard, [], "who is refused hears it from the door");
});

test("drained resolves when the last open request is closed, and at once when none is", async (t) => {
  const { desk, askers } = scene();
  await desk.drained();
  const [one, two] = [openAt(desk, askers, "a"), openAt(desk, askers, "b")];
  let isDrained = false;
  const drained = desk.drained().then(() => {
    isDrained = true;
  });
  desk.settle(one, payload);
  await Promise.resolve();
  t.false(isDrained);
  desk.refuse(two, "internal", "");
  await drained;
  t.true(isDrained);
});

test("a request of another desk, or one that is none, closes nothing here", (t) => {
  const { desk, askers } = scene();
  const other = scene();
  const mine = openAt(desk, askers, "a");
  const theirs = openAt(other.desk, other.askers, "a");
  t.is(mine.key, theirs.key, "the keys are the same: only the request itself tells them apart");
  desk.refuse(theirs, "internal", "");
  desk.settle(theirs, payload);
  const lookalike: OpenRequest = { ...mine };
  desk.settle(lookalike, payload);
  t.true(desk.isOpen(mine));
  t.deepEqual(askers.heard, []);
});

test("time that is waited for ends with the last request: an idle desk sets no timers", async (t) => {
  const { clock, desk, askers } = scene();
  desk.settle(openAt(desk, askers, "a"), payload);
  await clock.advance(1_000);
  const late = openAt(desk, askers, "b", { deadlineMs: 50 });
  await clock.advance(61);
  t.false(desk.isOpen(late));
  t.deepEqual(askers.heard, ["answer a", "refused b deadline"]);
});

test("(S2-15) under shed-lowest the victim hears `shed`, the newcomer is open in its place, and each ends once", (t) => {
  const { desk, closed, askers } = scene(2, "shed-lowest");
  const low = openAt(desk, askers, "low", { priority: 1 });
  const high = openAt(desk, askers, "high", { priority: 9 });
  const middle = openAt(desk, askers, "middle", { priority: 5 });
  t.deepEqual(askers.heard, ["refused low shed"]);
  t.true((askers.retryAfterMs[0] ?? 0) > 0);
  t.false(desk.isOpen(low));
  t.is(desk.size, 2);
  t.like(desk.open(wantedRequest("lower", { priority: 4 }), askers.answererOf("lower")), {
    kind: "refused",
    code: "shed",
  });
  desk.settle(low, payload);
  for (const request of [high, middle]) desk.settle(request, payload);
  t.deepEqual(askers.heard, ["refused low shed", "answer high", "answer middle"]);
  t.deepEqual(
    closed.map(({ code }) => code),
    ["shed", undefined, undefined],
  );
});

test("(S2-15) under shed-oldest a flood replaces what is open one by one, and nobody is forgotten", (t) => {
  const { desk, closed, askers } = scene(3, "shed-oldest");
  for (let index = 0; index < 10; index += 1) openAt(desk, askers, `${index}`);
  t.is(desk.size, 3);
  t.deepEqual(
    askers.heard,
    [0, 1, 2, 3, 4, 5, 6].map((index) => `refused ${index} shed`),
  );
  t.is(closed.length, 7);
});

test("(S2-11) at the end of a node what is still open is refused by name, all of it, and the desk is empty", async (t) => {
  const { desk, askers } = scene();
  for (const id of ["a", "b"]) openAt(desk, askers, id);
  desk.refuseAll("not_ready", "the node left");
  await desk.drained();
  t.deepEqual(askers.heard, ["refused a not_ready", "refused b not_ready"]);
  t.is(desk.lastRefusal, "not_ready: the node left");
});
