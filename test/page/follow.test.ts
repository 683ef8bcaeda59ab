// The stream of events under a virtual clock and a network of the test's own: it comes back, later and later, and says why it is gone.

import test from "ava";
import type { Ask } from "../../operations/page/ask.js";
import { openAsk, refusalIn } from "../../operations/page/ask.js";
import { follow, pauseMs } from "../../operations/page/follow.js";
import type { Connection, Tidings } from "../../operations/page/live.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";

const nobody: Ask = {
  get: async () => ({ kind: "silent", message: "nobody" }),
  post: async () => ({ kind: "silent", message: "nobody" }),
};

interface Network {
  readonly tries: number[];
  readonly told: Tidings[];
  readonly clock: VirtualClock;
  hurry: () => void;
  /** What the next tries meet. */
  answer: (signal: AbortSignal) => Promise<Response>;
}

function following(answer: Network["answer"]): Network {
  const clock = new VirtualClock();
  const network: Network = { tries: [], told: [], clock, hurry: () => undefined, answer };
  void follow({
    fetch: async (_input, init) => {
      network.tries.push(clock.nowMs());
      return network.answer(init?.signal ?? new AbortController().signal);
    },
    ask: nobody,
    clock,
    token: () => null,
    tell: (tidings) => network.told.push(tidings),
    hurried: () =>
      new Promise((resolve) => {
        network.hurry = resolve;
      }),
  });
  return network;
}

const connections = ({ told }: Network): Connection[] =>
  told.flatMap((each) => (each.kind === "connection" ? [each.connection] : []));

/** A stream that says `text` and stays open until the reader goes. */
function saying(text: string, signal: AbortSignal): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(text));
      signal.addEventListener("abort", () => controller.error(new Error("aborted")));
    },
  });
  return new Response(body, { status: 200 });
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function pass({ clock }: Network, ms: number): Promise<void> {
  await settle();
  await clock.advance(ms);
  await settle();
}

test("the pauses between tries double and stay below eight seconds", (t) => {
  t.deepEqual([1, 2, 3, 4, 5, 6, 20].map(pauseMs), [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
});

test("a server that is gone is tried again, later and later, and since when it is gone is said", async (t) => {
  const network = following(() => Promise.reject(new TypeError("network")));
  const beganAtMs = network.clock.nowMs();
  for (const ms of [500, 1_000, 2_000]) await pass(network, ms);
  t.deepEqual(
    network.tries.map((atMs) => atMs - beganAtMs),
    [0, 500, 1_500, 3_500],
  );
  const last = connections(network).at(-1);
  t.like(last, { kind: "lost", sinceMs: beganAtMs, why: "the server cannot be reached" });
});

test("events are told as they come, and whoever does not want to wait tries at once", async (t) => {
  const network = following(() => Promise.reject(new TypeError("network")));
  await settle();
  network.answer = async (signal) => saying('event: health\ndata: {"v":1}\n\nevent: newer\ndata: {}\n\n', signal);
  network.hurry();
  await settle();
  t.is(network.tries.length, 2);
  t.is(connections(network).at(-1)?.kind, "live");
  t.deepEqual(
    network.told.find(({ kind }) => kind === "health"),
    { kind: "health", health: { v: 1 } } as Tidings,
  );
});

test("a connection that says nothing for eight seconds is given up, and taken up again", async (t) => {
  const network = following(async (signal) => saying(": hello\n\n", signal));
  await pass(network, 7_900);
  t.is(connections(network).at(-1)?.kind, "live");
  await pass(network, 200);
  t.like(connections(network).at(-1), { kind: "lost", why: "nothing was heard for 8 s" });
  await pass(network, 500);
  t.is(network.tries.length, 2);
  t.is(connections(network).at(-1)?.kind, "live");
});

test("without access it waits for another token and does not knock on", async (t) => {
  const refusal = JSON.stringify({
    error: { code: "token_needed", message: "everything needs a token", next: "send one" },
  });
  const network = following(async () => new Response(refusal, { status: 401 }));
  await pass(network, 60_000);
  t.is(network.tries.length, 1);
  t.deepEqual(connections(network), [{ kind: "refused", message: "everything needs a token: send one" }]);
});

test("an answer is the server's own: its word when it refuses, its report when it is unhealthy, silence when it is gone", async (t) => {
  const answering = (status: number, text: string) =>
    openAsk({ fetch: async () => new Response(text, { status }), token: () => "secret" });
  t.deepEqual(await answering(503, '{"status":"unhealthy"}').get("/api/health"), {
    kind: "answer",
    value: { status: "unhealthy" },
  });
  t.deepEqual(await answering(503, "{}").get("/api/tree"), {
    kind: "refused",
    status: 503,
    message: "the cluster does not answer",
  });
  t.deepEqual(await answering(200, "<html>").get("/api/tree"), { kind: "silent", message: "the answer is no JSON" });
  t.is(refusalIn('{"error":{"message":"no","next":""}}', 400), "no");
  t.is(refusalIn("", 403), "this token may not do this");
});

test("a token travels in a header and nowhere else", async (t) => {
  const seen: { readonly url: string; readonly headers: unknown }[] = [];
  const ask = openAsk({
    fetch: async (input, init) => {
      seen.push({ url: String(input), headers: init?.headers });
      return new Response("{}");
    },
    token: () => "secret",
  });
  await ask.post("/api/chaos", {});
  t.like(seen[0]?.headers, { authorization: "Bearer secret" });
  t.false(seen[0]?.url.includes("secret"));
});
