// The engine's thread: opens the serving graph, answers run after run.
//
// Owns: the session and the parameters last sent. Does not own: anything that outlives the thread.
//
// W1. A run that fails is answered with its message; only what makes every later run fail ends the thread.
// W2. Told to close, the thread ends by itself after the runs it was given before (why: thread-end.ts).
import { parentPort, workerData } from "node:worker_threads";
import type { Parameters } from "../adaptation/pass.js";
import { nameSources } from "../source-positions.js";
import { ComputeTime } from "./compute-time.js";
import type { EngineReply, EngineRequest, EngineSetup } from "./engine.js";
import { look } from "./looking.js";
import { openAdaptableSession } from "./onnx-session.js";
import { packed } from "./packed-pass.js";

if (parentPort === null) throw new Error("engine-worker runs in a worker thread only");
nameSources();
void serve(parentPort, workerData);

async function serve(port: NonNullable<typeof parentPort>, setup: EngineSetup): Promise<void> {
  const session = await openAdaptableSession(setup.model, setup.graph, setup.provider);
  // The first run allocates and plans; nobody's request should pay for it.
  await session.warmUp();
  const own = ownInputs();
  const time = new ComputeTime(() => performance.now());
  let parameters: Parameters | null = null;
  // A run may take several passes: the next one waits for the last of them, so that answers keep the order of their requests.
  let last: Promise<unknown> = Promise.resolve();
  port.on("message", (request: EngineRequest) => {
    if (request.kind === "close") {
      // Nothing else keeps the thread.
      port.close();
      return;
    }
    parameters = request.parameters ?? parameters;
    if (parameters === null) throw new Error("the first run brought no parameters");
    const { input, rows, seeds } = request;
    const current = parameters;
    let ranMs = (): number => 0;
    const looked = last.then(() => {
      ranMs = time.begin();
      return look(session, setup.looking, own(input), rows, current, seeds);
    });
    last = looked.catch(() => undefined);
    looked.then(
      (found) => {
        const { embedded, buffer } = packed(found);
        port.postMessage({ kind: "embedded", embedded, ranMs: ranMs() } satisfies EngineReply, [buffer]);
      },
      (error: unknown) => {
        const reply: EngineReply = { kind: "failed", message: error instanceof Error ? error.message : String(error) };
        port.postMessage(reply);
      },
    );
  });
  const ready: EngineReply = { kind: "ready", runsOn: session.runsOn };
  port.postMessage(ready);
}

/** Inputs as ONNX Runtime reads them: not from memory that threads share. Those are copied, here and not in the thread that talks to NATS. */
function ownInputs(): (input: Float32Array) => Float32Array {
  // Runs come one after the other, so one copy is alive at a time.
  let scratch = new Float32Array();
  return (input) => {
    if (!(input.buffer instanceof SharedArrayBuffer)) return input;
    if (scratch.length < input.length) scratch = new Float32Array(input.length);
    const copy = scratch.subarray(0, input.length);
    copy.set(input);
    return copy;
  };
}
