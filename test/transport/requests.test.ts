// Requests over one subscription: each of the ways in which an ask ends, on its own and against a real nats-server.

import test from "ava";
import type { Clock } from "../../models/clock.js";
import { systemClock } from "../../supervision/clock.js";
import type { Headers, HeaderView, RequestOutcome } from "../../transport/bus/bus-outcome.js";
import { Requests, type Wire } from "../../transport/bus/bus-requests.js";
import { said, startCluster, text } from "./fixture.js";

const headersOf = (status: number): HeaderView => ({ get: () => undefined, status, description: "" });

/** A connection by hand: what was sent, and the other side's part in it. */
class HandWire implements Wire {
  readonly sent: { readonly subject: string; readonly replyTo: string; readonly headers?: Headers | undefined }[] = [];
  listened = 0;
  fails: Error | undefined;
  #take: Parameters<Wire["listen"]>[1] = () => undefined;
  #refused: (error: Error) => void = () => undefined;

  listen(_subject: string, take: Parameters<Wire["listen"]>[1], refused: (error: Error) => void): void {
    this.listened += 1;
    this.#take = take;
    this.#refused = refused;
  }

  send(subject: string, _data: Uint8Array, replyTo: string, headers: Headers | undefined): void {
    if (this.fails !== undefined) throw this.fails;
    this.sent.push({ subject, replyTo, headers });
  }

  /** Answers the ask that was sent as the `index`th. */
  answer(index: number, data: string, status = 0): void {
    this.#take(this.sent[index]?.replyTo ?? "", text(data), headersOf(status));
  }

  refuse(error: Error): void {
    this.#refused(error);
  }
}

/** Timers that go off when the test says so. */
function handClock(): { readonly clock: Clock; readonly timers: Map<() => void, number> } {
  const timers = new Map<() => void, number>();
  const after: Clock["after"] = (ms, run) => {
    timers.set(run, ms);
    return () => timers.delete(run);
  };
  return { clock: { ...systemClock, after }, timers };
}

function open() {
  const wire = new HandWire();
  const { clock, timers } = handClock();
  const requests = new Requests(wire, clock, "inbox");
  const ask = (subject: string, timeoutMs = 100) => requests.ask(subject, text(subject), timeoutMs, undefined);
  return { wire, timers, requests, ask };
}

function heard(outcome: RequestOutcome): string {
  return outcome.kind === "reply" ? said(outcome.data) : outcome.kind;
}

test("replies find their asks in whatever order they come, over one subscription", async (t) => {
  const { wire, timers, ask } = open();
  const asks = [ask("a"), ask("b"), ask("a")];
  for (const index of [2, 0, 1]) wire.answer(index, `to ${index}`);
  t.deepEqual((await Promise.all(asks)).map(heard), ["to 0", "to 1", "to 2"]);
  t.is(wire.listened, 1);
  t.is(new Set(wire.sent.map(({ replyTo }) => replyTo)).size, 3);
  t.is(timers.size, 0, "no timer outlives its ask");
});

test("an ask ends at its own timeout, and what comes later is dropped", async (t) => {
  const { wire, timers, ask } = open();
  const asking = ask("a", 250);
  const [[run, ms]] = [...timers] as [[() => void, number]];
  t.is(ms, 250);
  run();
  t.is((await asking).kind, "timeout");
  wire.answer(0, "late");
  const next = ask("b");
  wire.answer(1, "in time");
  t.is(heard(await next), "in time");
});

test("nobody listening is heard at once; an empty reply and a reply with that status and a body are replies", async (t) => {
  const { wire, ask } = open();
  const asks = [ask("a"), ask("b"), ask("c")];
  wire.answer(0, "", 503);
  wire.answer(1, "");
  wire.answer(2, "body", 503);
  t.deepEqual((await Promise.all(asks)).map(heard), ["no_responders", "", "body"]);
});

test("a denial ends the oldest ask of its subject and no other", async (t) => {
  const { wire, requests, ask } = open();
  const asks = [ask("a"), ask("b"), ask("b")];
  requests.denied("b", "no");
  requests.denied("elsewhere", "no");
  t.deepEqual(await asks[1], { kind: "denied", message: "no" });
  wire.answer(0, "first");
  wire.answer(2, "third");
  t.deepEqual(
    [await asks[0], await asks[2]].map((outcome) => outcome && heard(outcome)),
    ["first", "third"],
  );
});

test("when the server does not let us listen every ask is denied, and the next one listens again", async (t) => {
  const { wire, ask } = open();
  const asks = [ask("a"), ask("b")];
  wire.refuse(new Error("not you"));
  t.deepEqual(await Promise.all(asks), [
    { kind: "denied", message: "not you" },
    { kind: "denied", message: "not you" },
  ]);
  const next = ask("c");
  t.is(wire.listened, 2);
  wire.answer(2, "heard");
  t.is(heard(await next), "heard");
});

test("asks end with the connection; one that it does not take rejects and leaves nothing behind", async (t) => {
  const { wire, timers, requests, ask } = open();
  const asking = ask("a");
  wire.fails = new Error("too large");
  await t.throwsAsync(ask("b"), { message: "too large" });
  t.is(timers.size, 1, "only the first is waiting");
  requests.close();
  t.is((await asking).kind, "closed");
  t.is(timers.size, 0);
});

test("an ask that may be sent again is, over the new connection and under its reply subject; others wait (S2-55)", async (t) => {
  const { wire, timers, requests, ask } = open();
  const plain = ask("plain");
  const twice = requests.ask("twice", text("twice"), 100, { id: "7" }, { id: "7", attempt: "2" });
  const answered = requests.ask("answered", text("answered"), 100, { id: "8" }, { id: "8" });
  wire.answer(2, "done");
  t.is(heard(await answered), "done");
  requests.askAgain();
  t.deepEqual(
    wire.sent.slice(3).map(({ subject, headers }) => [subject, headers]),
    [["twice", { id: "7", attempt: "2" }]],
  );
  t.is(wire.sent[3]?.replyTo, wire.sent[1]?.replyTo);
  wire.answer(3, "second word");
  wire.answer(1, "first word, late");
  t.is(heard(await twice), "second word");
  for (const run of [...timers.keys()]) run();
  t.is(heard(await plain), "timeout");
});

test("a request in flight when its bus closes ends as closed", async (t) => {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const [asker, silent] = [await cluster.bus(), await cluster.bus()];
  const arrived = new Promise<void>((resolve) => {
    silent.subscribe("driftmend.silent", {}, () => resolve());
  });
  await silent.flush();
  const asking = asker.request("driftmend.silent", text("x"), { timeoutMs: 60_000 });
  await arrived;
  await asker.close();
  t.is((await asking).kind, "closed");
});

test("a request made while the server is away is sent when it is back (S2-55)", async (t) => {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const [asker, echo] = [await cluster.bus(), await cluster.bus()];
  echo.subscribe("driftmend.echo", {}, (message) => void message.respond(message.data));
  await echo.flush();
  t.is(heard(await asker.request("driftmend.echo", text("before"), { timeoutMs: 1_000 })), "before");
  const away = new Promise<void>((resolve) => {
    asker.onEvent((event) => {
      if (event.kind === "disconnected") resolve();
    });
  });
  const restarting = cluster.killAndRestart();
  await away;
  const asking = asker.request("driftmend.echo", text("during"), { timeoutMs: 20_000 });
  await restarting;
  // The echo may come back after the asker: then nobody listens yet, which is an answer too.
  t.true(["during", "no_responders"].includes(heard(await asking)));
});

test("many requests at once come back each with its own reply, headers included", async (t) => {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const [asker, echo] = [await cluster.bus(), await cluster.bus()];
  echo.subscribe("driftmend.echo", {}, (message) => {
    message.respond(message.data, { "X-Echo": message.headers.get("X-Ask") ?? "" });
  });
  await echo.flush();
  const asks = Array.from({ length: 200 }, (_, index) =>
    asker.request("driftmend.echo", text(`${index}`), { timeoutMs: 10_000, headers: { "X-Ask": `${index}` } }),
  );
  for (const [index, outcome] of (await Promise.all(asks)).entries()) {
    t.is(heard(outcome), `${index}`);
    if (outcome.kind === "reply") t.is(outcome.headers.get("X-Echo"), `${index}`);
  }
  await t.throwsAsync(
    asker.request("driftmend.echo", new Uint8Array(asker.payloadMaxBytes + 1), { timeoutMs: 1_000 }),
    {
      message: /max_payload/,
    },
  );
});
