// The engine's real thread with the shipped digits model, against the same graph in process.
import { rm } from "node:fs/promises";
import test from "ava";
import { sourceParameters } from "../../models/adaptation/adaptation.js";
import { type Embedded, graphOf } from "../../models/adaptation/pass.js";
import { loadModel } from "../../models/manifest.js";
import { EngineError, startEngine } from "../../models/serving/engine.js";
import { look, lookSetup } from "../../models/serving/looking.js";
import { openAdaptableSession } from "../../models/serving/onnx-session.js";
import { systemClock } from "../../supervision/clock.js";
import { digitsFolder, firstDigits } from "./digits-model.js";
import { modelTaking } from "./slow-model.js";

const model = await loadModel(digitsFolder);
const parameters = sourceParameters(model);

const seedsOf = (rows: number): Uint32Array => Uint32Array.from({ length: rows }, (_, row) => row);

async function inProcess(input: Float32Array, rows: number, given = parameters): Promise<Embedded> {
  const session = await openAdaptableSession(model.modelBytes, graphOf(model));
  const embedded = await look(session, lookSetup(model), input, rows, given, seedsOf(rows));
  await session.close();
  return embedded;
}

test("the thread gives the bits that the graph gives in process, at every batch size", async (t) => {
  const engine = await startEngine(model, systemClock);
  for (const rows of [1, 3, 16]) {
    const { input } = await firstDigits(rows);
    const expected = await inProcess(input.slice(), rows);
    t.deepEqual(await engine.run(input, rows, parameters, seedsOf(rows)), expected);
  }
  await engine.close();
});

test("new parameters act from the next run on, old ones can come back", async (t) => {
  const engine = await startEngine(model, systemClock);
  const { input } = await firstDigits(2);
  const other = { ...parameters, head: parameters.head.map((value) => -value) };
  const [first, second, third] = await Promise.all([
    engine.run(input.slice(), 2, parameters, seedsOf(2)),
    engine.run(input.slice(), 2, other, seedsOf(2)),
    engine.run(input.slice(), 2, parameters, seedsOf(2)),
  ]);
  t.deepEqual(second, await inProcess(input, 2, other));
  t.deepEqual(third, first);
  t.notDeepEqual(second.logits, first.logits);
  await engine.close();
});

test("(S2-49) an input in memory that threads share is read where it is: the same bits, run after run, and it stays usable", async (t) => {
  const engine = await startEngine(model, systemClock);
  const { input } = await firstDigits(2);
  const shared = new Float32Array(new SharedArrayBuffer(input.byteLength));
  shared.set(input);
  const expected = await inProcess(input, 2);
  for (let run = 0; run < 3; run++) t.deepEqual(await engine.run(shared, 2, parameters, seedsOf(2)), expected);
  const [one] = [shared.subarray(0, input.length / 2)];
  t.deepEqual(await engine.run(one, 1, parameters, seedsOf(1)), await inProcess(input.slice(0, input.length / 2), 1));
  t.deepEqual(Float32Array.from(shared), input);
  await engine.close();
});

test("a slice of a larger buffer is sent without its neighbours, which stay usable", async (t) => {
  const engine = await startEngine(model, systemClock);
  const { input } = await firstDigits(2);
  const embedded = await engine.run(input.subarray(784), 1, parameters, seedsOf(1));
  t.is(input.length, 1568);
  t.deepEqual(embedded, await inProcess(input.slice(784), 1));
  await engine.close();
});

test("a whole buffer is handed over, not copied", async (t) => {
  const engine = await startEngine(model, systemClock);
  const { input } = await firstDigits(1);
  const run = engine.run(input, 1, parameters, seedsOf(1));
  t.is(input.length, 0);
  await run;
  await engine.close();
});

test("(law 10) short runs of one row end up in this thread, with the bits that the engine's thread gives", async (t) => {
  t.timeout(100_000);
  const engine = await startEngine(model, systemClock);
  const pictures = 96;
  const { input } = await firstDigits(pictures);
  const heads = [parameters, { ...parameters, head: parameters.head.map((value) => -value) }];
  // A picture, or its negative: another kind of input.
  const rowOf = (row: number): Float32Array =>
    input.slice(row * 784, (row + 1) * 784).map((value) => (row % 2 === 0 ? value : 1 - value));
  const run = async (row: number) => {
    const given = rowOf(row);
    const embedded = await engine.run(given, 1, heads[row % 3 === 0 ? 1 : 0] ?? parameters, Uint32Array.of(row));
    // What goes to the thread is handed over.
    return { embedded, here: given.length > 0 };
  };
  const found = new Map<boolean, Map<number, Embedded>>([
    [true, new Map()],
    [false, new Map()],
  ]);
  // The first ones go to the thread; how many is a matter of measurement.
  for (let row = 0; (found.get(true)?.size ?? 0) < pictures; row = (row + 1) % pictures) {
    const { embedded, here } = await run(row);
    found.get(here)?.set(row, embedded);
  }
  const there = found.get(false) ?? new Map();
  t.true(there.size >= 64, `${there.size}`);
  for (const [row, embedded] of there) t.deepEqual(found.get(true)?.get(row), embedded, `${row}`);
  await engine.close();
});

test("answers keep the order of their questions where one is computed here and the next in the thread; closing ends both", async (t) => {
  t.timeout(100_000);
  const engine = await startEngine(model, systemClock);
  const { input } = await firstDigits(3);
  for (let here = false; !here; ) {
    const given = input.slice(0, 784);
    await engine.run(given, 1, parameters, seedsOf(1));
    here = given.length > 0;
  }
  const order: number[] = [];
  const asked = [1, 3, 1, 2].map(async (count, index) => {
    const embedded = await engine.run(input.slice(0, count * 784), count, parameters, seedsOf(count));
    order.push(index);
    return embedded.rows;
  });
  t.deepEqual(await Promise.all(asked), [1, 3, 1, 2]);
  t.deepEqual(order, [0, 1, 2, 3]);
  const flying = [1, 2].map((count) => engine.run(input.slice(0, count * 784), count, parameters, seedsOf(count)));
  const closing = engine.close();
  for (const run of flying) t.is((await t.throwsAsync(run, { instanceOf: EngineError })).code, "closed");
  await closing;
});

test("(law 10) a model whose run takes longer than a millisecond is run in the thread, however often it was asked", async (t) => {
  t.timeout(100_000);
  const folder = await modelTaking(8);
  const engine = await startEngine(await loadModel(folder), systemClock);
  for (let run = 0; run < 100; run += 1) {
    const given = new Float32Array(784);
    await engine.run(given, 1, parameters, seedsOf(1));
    t.is(given.length, 0, "handed over to the thread");
  }
  await engine.close();
  await rm(folder, { recursive: true, force: true });
});

test("inputs and parameters of the wrong size are the caller's fault, and harm no other run", async (t) => {
  const engine = await startEngine(model, systemClock);
  const { input } = await firstDigits(1);
  const faults = [
    engine.run(new Float32Array(783), 1, parameters, seedsOf(1)),
    engine.run(new Float32Array(0), 0, parameters, seedsOf(0)),
    engine.run(input.slice(), 1, { ...parameters, table: new Float32Array(175) }, seedsOf(1)),
    engine.run(input.slice(), 1, { ...parameters, signatures: new Float32Array(1) }, seedsOf(1)),
    engine.run(input.slice(), 1, { ...parameters, limits: new Float32Array(1) }, seedsOf(1)),
    engine.run(input.slice(), 1, { ...parameters, head: new Float32Array(1) }, seedsOf(1)),
  ];
  for (const fault of faults) t.is((await t.throwsAsync(fault, { instanceOf: EngineError })).code, "input");
  t.is((await engine.run(input, 1, parameters, seedsOf(1))).rows, 1);
  await engine.close();
});

test("closing rejects what is in flight and what comes later, and is not a death", async (t) => {
  const engine = await startEngine(model, systemClock);
  const { input } = await firstDigits(1);
  const flying = engine.run(input.slice(), 1, parameters, seedsOf(1));
  const closing = engine.close();
  t.is((await t.throwsAsync(flying, { instanceOf: EngineError })).code, "closed");
  await closing;
  t.is((await t.throwsAsync(engine.run(input, 1, parameters, seedsOf(1)), { instanceOf: EngineError })).code, "closed");
  t.is(await Promise.race([engine.died, Promise.resolve("alive")]), "alive");
  await t.notThrowsAsync(engine.close());
});

test("a graph that ONNX Runtime refuses gives a typed error that names the model, and no thread stays", async (t) => {
  const broken = { ...model, modelBytes: model.modelBytes.slice(0, 1000) };
  const error = await t.throwsAsync(startEngine(broken, systemClock), { instanceOf: EngineError });
  t.is(error.code, "start");
  t.regex(error.message, /digits cannot be served/);
});

test("a graph without the promised outputs is refused at the start", async (t) => {
  const error = await t.throwsAsync(startEngine({ ...model, modelBytes: model.sourceBytes }, systemClock), {
    instanceOf: EngineError,
  });
  t.is(error.code, "start");
});
