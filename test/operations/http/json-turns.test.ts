// Large JSON and the thread that has other things to do: one document at a time, and a rest after each as long as the reading took.

import test from "ava";
import { JsonTurns, smallMaxBytes } from "../../../operations/http/kserve/json-turns.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { local, scene } from "./http-scene.js";
import { MadeUpCluster } from "./made-up-cluster.js";

const large = smallMaxBytes + 1;
const tookMs = 50;

/** Reading takes `tookMs` of the thread, in which nobody else's timer runs. */
class ReadingClock extends VirtualClock {
  #readMs = 0;
  read(): void {
    this.#readMs += tookMs;
  }
  override monotonicMs(): number {
    return super.monotonicMs() + this.#readMs;
  }
}

function reading() {
  const clock = new ReadingClock();
  const turns = new JsonTurns(clock);
  const readAtMs: number[] = [];
  const read = (bytes: number, withinMs = 60_000) =>
    turns.read(bytes, withinMs, () => {
      readAtMs.push(clock.monotonicMs());
      clock.read();
    });
  return { clock, read, readAtMs };
}

test("however many large documents come at once, the thread has a rest after each that is as long as the reading (S2-54)", async (t) => {
  const { clock, read, readAtMs } = reading();
  const all = Promise.all(Array.from({ length: 20 }, () => read(large)));
  await clock.advance(0);
  t.is(readAtMs.length, 1, "one of them, and then somebody else");
  await clock.advance(20 * tookMs);
  t.deepEqual(
    (await all).map(({ kind }) => kind),
    Array.from({ length: 20 }, () => "read"),
  );
  for (const [index, atMs] of readAtMs.entries())
    t.true(index === 0 || atMs - (readAtMs[index - 1] ?? 0) >= 2 * tookMs, `${readAtMs}`);
});

test("small documents wait for no turn, and who waits too long for one is told so", async (t) => {
  const { clock, read, readAtMs } = reading();
  const first = read(large);
  const late = read(large, 10);
  await read(smallMaxBytes);
  await read(0);
  t.is(readAtMs.length, 3);
  await clock.advance(10);
  t.is((await late).kind, "late");
  await clock.advance(tookMs);
  t.is((await read(large)).kind, "read", "a turn that nobody waits for is free");
  t.is((await first).kind, "read");
});

test("a reader that throws gives its turn back", async (t) => {
  const clock = new VirtualClock();
  const turns = new JsonTurns(clock);
  const broken = () => {
    throw new Error("broken");
  };
  await t.throwsAsync(turns.read(large, 10, broken));
  await clock.advance(10);
  t.deepEqual(await turns.read(large, 10, () => 7), { kind: "read", value: 7 });
});

const decimals = Array.from({ length: 8_000 }, () => "0.12345678").join(",");
const largeBody = `{"inputs":[{"name":"input","shape":[4000,2],"datatype":"FP64","data":[${decimals}]}]}`;
const ask = (server: Awaited<ReturnType<typeof scene>>["server"], payload: string) =>
  server.inject({
    ...{ method: "POST", url: "/v2/models/pairs/infer", payload },
    headers: { ...local, "content-type": "application/json" },
  });

/** Whoever looks at it finds that 3 s have passed since the last look. */
class SlowThread extends VirtualClock {
  #looks = 0;
  override monotonicMs(): number {
    this.#looks += 1;
    return super.monotonicMs() + 3_000 * this.#looks;
  }
}

test("large inferences in JSON are read in turns, small ones and the page's looks pass by; too long a queue is a 503 (S2-54)", async (t) => {
  const cluster = new MadeUpCluster(new SlowThread());
  const { server } = await scene({ cluster });
  t.true(largeBody.length > smallMaxBytes);
  const codes: string[] = [];
  const asked = Array.from({ length: 3 }, () =>
    ask(server, largeBody).then(({ statusCode, body }) => codes.push(`${statusCode} ${JSON.parse(body).code}`)),
  );
  while (codes.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const small = '{"inputs":[{"name":"input","shape":[2],"datatype":"FP64","data":[1,2,3]}]}';
  t.is((await ask(server, small)).statusCode, 400);
  t.is((await server.inject({ url: "/api/tree", headers: local })).statusCode, 200);
  // It was read: it has more rows than a request may have.
  t.deepEqual(codes, ["413 too_large"]);
  await cluster.clock.advance(10_000);
  await Promise.all(asked);
  t.deepEqual(codes, ["413 too_large", "413 too_large", "503 overloaded"]);
});
