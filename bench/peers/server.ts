// One peer as a process: the model behind one wire, until the process that started it is gone.
//
// Owns: which wire is which. Does not own: any of them.
import { reportReady, watchParent } from "../../supervision/process/parent-watch.js";
import type { CountOrder, CountReport } from "../conversation.js";
import { serveFastify } from "./fastify.js";
import { serveGrpc } from "./grpc.js";
import { serveMoleculer } from "./moleculer.js";
import { type Listening, nameOf, type Serve, type Wire, wires } from "./peer.js";
import { openRunner, ways } from "./runner.js";
import { serveWorkQueue } from "./work-queue.js";

const servers: Readonly<Record<Exclude<Wire, "in process">, Serve>> = {
  "fastify json": serveFastify,
  "fastify binary": serveFastify,
  moleculer: serveMoleculer,
  grpc: serveGrpc,
  "work queue": serveWorkQueue,
};

const [wireWord, wayWord, folder = "", natsUrl = ""] = process.argv.slice(2);
const wire = wires.find((each) => each === wireWord);
const way = ways.find((each) => each === wayWord);
if (wire === undefined || wire === "in process" || way === undefined)
  throw new Error(`no server ${wireWord} ${wayWord}`);

watchParent(() => process.exit(1));
const runner = await openRunner(folder, way);
const address = await servers[wire](runner, { natsUrl, name: nameOf({ wire, way }) });
process.on("message", ({ id }: CountOrder) =>
  process.send?.({ kind: "counted", id, ...runner.counted } satisfies CountReport),
);
process.send?.({ kind: "listening", address } satisfies Listening);
reportReady();
