// Which execution provider a session opens on, with a stand-in for ONNX Runtime where a GPU is needed, and with the real one.

import test from "ava";
import { sourceParameters } from "../../models/adaptation/adaptation.js";
import { graphOf } from "../../models/adaptation/pass.js";
import { loadModel } from "../../models/manifest.js";
import { startEngine } from "../../models/serving/engine.js";
import { type Opening, openAdaptableSession } from "../../models/serving/onnx-session.js";
import { nodeFlagsOf } from "../../operations/cluster/cluster-settings.js";
import { systemClock } from "../../supervision/clock.js";
import { digitsFolder, firstDigits } from "./digits-model.js";

const model = await loadModel(digitsFolder);
const graph = graphOf(model);
const parameters = sourceParameters(model);
const none = new Uint8Array();

/** An output whose bytes lie elsewhere until they are fetched. */
class OnGpu {
  readonly dims = [];
  readonly location = "gpu-buffer";
  readonly #bytes: Float32Array;

  constructor(length: number) {
    this.#bytes = Float32Array.from({ length }, (_, i) => i);
  }

  get data(): never {
    throw new Error("The data is not on CPU.");
  }

  async getData(): Promise<Float32Array> {
    return this.#bytes;
  }
}

/** A runtime that knows the providers given, and gives every output of one row where it was computed. */
function runtime(fails: Readonly<Record<string, "open" | "run" | undefined>> = {}) {
  const seen = { opened: [] as string[], runs: [] as string[], released: [] as string[] };
  const open: Opening = async (_bytes, { executionProviders = [] }) => {
    const provider = executionProviders.map(String).join();
    seen.opened.push(provider);
    if (fails[provider] === "open") throw new Error(`\n  ${provider}: Failed to load shared library\n    at stack`);
    return {
      run: async () => {
        seen.runs.push(provider);
        if (fails[provider] === "run") throw new Error("no kernel image is available for execution on the device");
        return {
          logits: new OnGpu(graph.classes),
          embedding: new OnGpu(graph.width),
          moments: new OnGpu(2 * graph.channels),
          density: new OnGpu(1),
          domain: new OnGpu(1),
        };
      },
      release: async () => void seen.released.push(provider),
    };
  };
  return { open, seen };
}

test("(S2-18) without a wish the CPU is opened, and nothing else is tried", async (t) => {
  const { open, seen } = runtime();
  const { runsOn } = await openAdaptableSession(none, graph, undefined, open);
  t.deepEqual(runsOn, { provider: "cpu" });
  t.deepEqual(seen, { opened: ["cpu"], runs: [], released: [] });
});

test("(S2-18) cuda is used where it is there, and has run once before anybody asks", async (t) => {
  const { open, seen } = runtime();
  const { runsOn } = await openAdaptableSession(none, graph, "cuda", open);
  t.deepEqual(runsOn, { provider: "cuda" });
  t.deepEqual(seen, { opened: ["cuda"], runs: ["cuda"], released: [] });
});

test("(S2-18) cuda that cannot be loaded falls back to the CPU and says why in one line", async (t) => {
  const { open, seen } = runtime({ cuda: "open" });
  const { runsOn } = await openAdaptableSession(none, graph, "cuda", open);
  t.deepEqual(runsOn, { provider: "cpu", fellBack: "cuda: Failed to load shared library" });
  t.deepEqual(seen.opened, ["cuda", "cpu"]);
});

test("(S2-18) cuda that opens but cannot run is let go of, and the CPU is taken", async (t) => {
  const { open, seen } = runtime({ cuda: "run" });
  const { runsOn } = await openAdaptableSession(none, graph, "cuda", open);
  t.deepEqual(runsOn, {
    provider: "cpu",
    fellBack: "no kernel image is available for execution on the device",
  });
  t.deepEqual(seen, { opened: ["cuda", "cpu"], runs: ["cuda"], released: ["cuda"] });
});

test("(S2-18) what neither opens is refused with what the CPU said", async (t) => {
  const { open } = runtime({ cuda: "open", cpu: "open" });
  await t.throwsAsync(openAdaptableSession(none, graph, "cuda", open), { message: /cpu: Failed to load/ });
});

test("(S2-18) outputs that lie on the GPU are fetched, whole and in place", async (t) => {
  const { open } = runtime();
  const session = await openAdaptableSession(none, graph, "cuda", open);
  const { input } = await firstDigits(1);
  const { logits, embeddings, moments, density, domains } = await session.run(input, 1, parameters);
  const upTo = (length: number) => Float32Array.from({ length }, (_, i) => i);
  t.deepEqual([logits, embeddings, moments], [graph.classes, graph.width, 2 * graph.channels].map(upTo));
  t.deepEqual([density, domains], [upTo(1), Uint8Array.of(0)]);
  t.throws(() => new OnGpu(1).data, { message: /not on CPU/ }, "negative control: read where it lies, it is not there");
});

test("(S2-18) on this machine an engine that was told cuda says where it runs; without a GPU its bits are the CPU's", async (t) => {
  const { input } = await firstDigits(3);
  const seeds = Uint32Array.of(1, 2, 3);
  // The first session of a process decides whether ONNX Runtime writes its own lines on what is missing.
  const wished = await startEngine(model, systemClock, undefined, "cuda");
  const cpu = await startEngine(model, systemClock);
  t.teardown(() => Promise.all([cpu.close(), wished.close()]));
  t.deepEqual(cpu.runsOn, { provider: "cpu" });
  const [expected, found] = [
    await cpu.run(input.slice(), 3, parameters, seeds),
    await wished.run(input.slice(), 3, parameters, seeds),
  ];
  t.true(found.logits instanceof Float32Array);
  if (wished.runsOn.provider === "cuda") return;
  t.regex(wished.runsOn.fellBack ?? "", /^[^\n]{5,}$/);
  t.deepEqual(found, expected);
});

test("(S2-18) --ep reaches the nodes of up and demo, and is left out where it was not given", (t) => {
  t.deepEqual(nodeFlagsOf({ ep: "cuda" }), ["--ep", "cuda"]);
  t.deepEqual(nodeFlagsOf({}), []);
});
