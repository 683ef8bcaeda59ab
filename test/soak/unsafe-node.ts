// A node composed from the production parts, of which a test takes one protection away, or which ends itself at a named moment.
//
// Run as the node program instead of cli.js. Told in the environment:
//   UNSAFE  the protection that is missing: outbox, write-ahead, commit-fence; or what it does wrong for hours: leak (1 MB a second), stuck (no
//           update is taken up), truncation (the log is never cut back), cleanup (the watchdog confirms nothing)
//   LOG_MAX bytes; bound of the experience log, when it is not the usual one
//   SCENE   what befalls the node: crash-after-model, crash-after-append, die-after-reply, freeze-before-commit, or fault-points (fault-points.ts)
//   ONCE    a file that the first process to meet its scene creates; the others then go on unharmed

import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { hostNode } from "../../actors/host/host.js";
import type { UpdaterStore } from "../../actors/learning/updater.js";
import type { ModelWiring } from "../../actors/wiring/model-wiring.js";
import type { NodeWiring } from "../../actors/wiring/wiring.js";
import { seededRandom } from "../../models/clock.js";
import { loadModel } from "../../models/manifest.js";
import { nodeTree, type Role, roles } from "../../node.js";
import type { BatchBehaviour, Behaviour, Turn } from "../../supervision/actor/behaviour.js";
import { systemClock as clock } from "../../supervision/clock.js";
import { openLogger } from "../../supervision/logger.js";
import { reportReady, watchParent } from "../../supervision/process/parent-watch.js";
import type { ChildSpec, SupervisorSpec } from "../../supervision/tree/child-spec.js";
import { connectBus } from "../../transport/bus/bus.js";
import { inboxPrefixOf, subjectsOf } from "../../transport/subjects.js";
import { wrapped } from "../writer/wrapped-store.js";
import { endingAt, pointOf } from "./fault-points.js";

const { UNSAFE: unsafe = "", SCENE: scene = "", ONCE: once = "", DRIFTMEND_PASSWORD: password = "" } = process.env;
const { LOG_MAX: logMax = "" } = process.env;
const text = { type: "string" } as const;
const { values: flags } = parseArgs({
  allowPositionals: true,
  options: { role: text, name: text, nats: text, cluster: text, model: text, user: text, incarnation: text, run: text },
});
const { role: named = "serving", name = "", nats: url = "", cluster = "", model: folder = "", user = "" } = flags;
const incarnation = Number(flags.incarnation ?? 1);
const role = roles.find((known) => known === named) ?? "serving";

/** Longer than an actor takes to come back. */
const slowAppendMs = 1_500;
const lateAppendMs = 1_000;
const gatherMs = 120;
/** Records after which there are neighbours to ask. */
const warmAfter = 150;
/** What happens, happens under way and not at the first request. */
const batchesBefore = 8;

const bus = await connectBus({ url, name, clock, user, password, inboxPrefix: inboxPrefixOf(user) });

/** True for one process and one moment of all that share the file. */
function isTheOne(): boolean {
  try {
    writeFileSync(once, `${process.pid}`, { flag: "wx" });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

function wrapModel(model: ModelWiring): ModelWiring {
  return {
    ...model,
    voter: (buffer, relay) => {
      const deps = model.voter(buffer, relay);
      if (unsafe === "write-ahead") return { ...deps, append: lateAppend(deps.append) };
      if (scene === "crash-after-append") return { ...deps, append: crashingAppend(deps.append) };
      return scene === "crash-after-model" ? { ...deps, append: slowAppend(deps.append) } : deps;
    },
    updater: () => {
      const deps = model.updater();
      const { store } = deps;
      const commit: typeof store.commit = async (what, expectedSeq) => {
        if (scene === "freeze-before-commit" && expectedSeq >= batchesBefore && isTheOne())
          process.kill(process.pid, "SIGSTOP");
        if (unsafe !== "commit-fence") return store.commit(what, expectedSeq);
        // Behind whatever is there, and again when somebody was quicker.
        for (;;) {
          const outcome = await store.commit(what, (await store.lastCommit())?.seq ?? 0);
          if (outcome.kind !== "fenced") return outcome;
        }
      };
      return { ...deps, store: wrapped(store, { commit, ...undone() }) };
    },
  };
}

/** What the writer never does. */
function undone(): Partial<UpdaterStore> {
  if (unsafe === "truncation") return { truncate: async () => undefined };
  return unsafe === "stuck" ? { updates: silence } : {};
}

async function* silence(_fromSeq: number, signal: AbortSignal): ReturnType<UpdaterStore["updates"]> {
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}

const leaked: Buffer[] = [];
const leakBytes = 2 ** 18;

/** A megabyte a second, touched so that it is resident. */
function leak(): void {
  leaked.push(Buffer.alloc(leakBytes, 1));
  clock.after(250, leak);
}

type Append = ReturnType<ModelWiring["voter"]>["append"];

/** Says at once where the record will stand, and writes it later. */
function lateAppend(append: Append): Append {
  let appended = 0;
  return async (batchId, record) => {
    appended += 1;
    void clock.delay(lateAppendMs).then(() => append(batchId, record));
    return { kind: "appended", seq: appended, duplicate: false };
  };
}

/** Keeps the first record of several rows back until the actor that crashed is at work again. */
function slowAppend(append: Append): Append {
  let isFirst = true;
  return async (batchId, record) => {
    if (isFirst && record.ids.length > 1) {
      isFirst = false;
      await clock.delay(slowAppendMs);
    }
    return append(batchId, record);
  };
}

/** Crashes the voter once its record is in the log, so that it judges the same batch again, later. */
function crashingAppend(append: Append): Append {
  return async (batchId, record) => {
    const outcome = await append(batchId, record);
    if (record.cold[0] === 1 || outcome.kind !== "appended" || outcome.seq < warmAfter || !isTheOne()) return outcome;
    await clock.delay(slowAppendMs);
    throw new Error("injected: after the append, before the turn commits");
  };
}

type Child = ChildSpec | SupervisorSpec;
type AnyBehaviour = ReturnType<ChildSpec["behaviour"]>;

function wrapTree(spec: SupervisorSpec): SupervisorSpec {
  return { ...spec, children: spec.children.map(wrapChild) };
}

function wrapChild(child: Child): Child {
  if ("strategy" in child) return wrapTree(child);
  return { ...child, behaviour: (refs) => wrapBehaviour(child.id, child.behaviour(refs)) };
}

let hasCrashed = false;

function wrapBehaviour(id: string, behaviour: AnyBehaviour): AnyBehaviour {
  if ("receiveBatch" in behaviour)
    return {
      ...behaviour,
      receiveBatch: async (state, messages, turn) => {
        // So that several wait together.
        const isToCrash = id === "inference" && scene === "crash-after-model" && !hasCrashed;
        if (isToCrash) await clock.delay(gatherMs);
        await behaviour.receiveBatch(state, messages, fenced(turn));
        if (!isToCrash || requestsIn(messages) < 2 || !isTheOne()) return;
        hasCrashed = true;
        throw new Error("injected: after the model ran, before the turn commits");
      },
    } satisfies BatchBehaviour<unknown, unknown>;
  let turns = 0;
  return {
    ...behaviour,
    receive: async (state, message, turn) => {
      await behaviour.receive(state, message, fenced(turn));
      turns += 1;
      if (id !== "voter" || scene !== "die-after-reply" || turns < batchesBefore || !isTheOne()) return;
      turn.onCommit(() => void bus.flush().then(() => process.kill(process.pid, "SIGKILL")));
    },
  } satisfies Behaviour<unknown, unknown>;
}

/** Crashed deliveries come back one by one; the first time they came together. */
function requestsIn(messages: readonly unknown[]): number {
  return messages.filter((m) => typeof m === "object" && m !== null && "kind" in m && m.kind === "request").length;
}

/** Without the outbox, what a turn sends leaves at once, whatever becomes of the turn. */
function fenced<M>(turn: Turn<M>): Turn<M> {
  if (unsafe !== "outbox") return turn;
  const { self, path, signal, random, log } = turn;
  return {
    ...{ self, path, incarnation: turn.incarnation, signal, clock: turn.clock, random, log },
    fail: (error) => turn.fail(error),
    send: (to, message) => void to.tell(message),
    onCommit: (effect) => turn.onCommit(effect),
    afterwards: (effect) => turn.afterwards(effect),
    exit: () => turn.exit(),
  };
}

function wrapWiring(wiring: NodeWiring): NodeWiring {
  const point = scene === "fault-points" ? pointOf(incarnation) : undefined;
  // Deaths are swept up after, and nobody is told that it was done.
  const mute = { declare: async () => true, confirm: async () => true };
  const watchdog = unsafe === "cleanup" ? { ...wiring.watchdog, ...mute } : wiring.watchdog;
  const changed = new Map(
    wiring.models.map((model) => {
      const safe = wrapModel(model);
      return [model.name, point === undefined ? safe : endingAt(point, safe, bus)] as const;
    }),
  );
  const changedOf = (model: ModelWiring): ModelWiring => changed.get(model.name) ?? model;
  return {
    ...wiring,
    watchdog,
    models: [...changed.values()],
    // The door asks the node's roll, and not this list.
    intake: (servedOf) => wiring.intake((model) => servedOf(changedOf(model))),
  };
}

watchParent(() => process.exit(70));
if (unsafe === "leak") leak();
const hosted = await hostNode(
  {
    node: name,
    incarnation,
    pid: process.pid,
    origin: `${name}-${randomBytes(6).toString("hex")}`,
    roles: [role],
    models: [await loadModel(folder)],
    bus,
    subjects: subjectsOf(cluster),
    clock,
    random: seededRandom(incarnation),
    log: openLogger("warn", { node: name, nodeIncarnation: incarnation }),
    version: "0.0.0",
    vitals: () => {
      const { rss: rssBytes, heapUsed: heapUsedBytes } = process.memoryUsage();
      return { rssBytes, heapUsedBytes, loopDelayMaxMs: 0, uptimeMs: Math.round(process.uptime() * 1_000) };
    },
    ...(logMax === "" ? {} : { logMaxBytes: Number(logMax) }),
  },
  (wiring) => wrapTree(nodeTree(name, [role] satisfies Role[], wrapWiring(wiring))),
);
reportReady();
const asked = new Promise<undefined>((resolve) => process.once("SIGTERM", () => resolve(undefined)));
const failure = await Promise.race([asked, hosted.failed]);
await hosted.stop();
process.exit(failure === undefined ? 0 : 70);
