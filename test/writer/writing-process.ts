// A process that writes the digits' parameters and does nothing else: the production wiring and the production updater over a real log,
// with a learner or a store that ends the process at a chosen point. Started by writing-root.ts.
//
//   argv: options as JSON, incarnation

import { setImmediate as eventLoopTurn } from "node:timers/promises";
import { gaveUpExitCode } from "../../actors/host/host.js";
import { type UpdaterDeps, updater } from "../../actors/learning/updater.js";
import { wire } from "../../actors/wiring/wiring.js";
import { seededRandom } from "../../models/clock.js";
import { loadModel, type Model } from "../../models/manifest.js";
import { Counters, Telemetry } from "../../operations/metrics/telemetry.js";
import { systemClock } from "../../supervision/clock.js";
import { silentLogger } from "../../supervision/logger.js";
import { reportReady, watchParent } from "../../supervision/process/parent-watch.js";
import { startTree } from "../../supervision/tree/system.js";
import { identityOf } from "../../transport/access/credentials.js";
import { connectBus } from "../../transport/bus/bus.js";
import { subjectsOf } from "../../transport/subjects.js";
import { Trap, wrapped } from "./wrapped-store.js";
import type { FaultPoint, WritingOptions } from "./writing-root.js";

const [given = "{}", generation = "1"] = process.argv.slice(2);
const options: WritingOptions = JSON.parse(given);
const incarnation = Number(generation);
const { name } = options;

watchParent(() => process.exit(gaveUpExitCode));
const model = tuned(await loadModel(options.folder), options.snapshotEvery);
const bus = await connectBus({
  url: options.url,
  ...identityOf(options.identity),
  name,
  clock: systemClock,
});
const subjects = subjectsOf("driftmend");
const telemetry = new Telemetry(bus, subjects, name, new Counters(), systemClock);
const identity = { node: name, incarnation, origin: `${name}-${incarnation}`, run: options.run };
const wiring = wire({ identity, bus, subjects, telemetry, clock: systemClock, vitals: () => ({}) }, [model]);
const [production] = wiring.models.map((each) => each.updater());
if (production === undefined) throw new Error("there is no model");
const deps = withFault(withPoison(production), options.faults[incarnation - 1]);

const tree = await startTree(
  {
    id: name,
    strategy: "one_for_one",
    intensity: { restarts: 10, withinMs: 10_000 },
    children: [{ id: "updater", restart: "permanent", mailboxMax: 256, behaviour: () => updater(deps) }],
  },
  {
    node: name,
    incarnation,
    clock: systemClock,
    random: seededRandom(incarnation),
    log: silentLogger,
    onEvent: (event) => {
      if (event.kind === "crashed")
        telemetry.event("crashed", { actor: event.path, incarnation: event.incarnation }, () => [
          { cause: event.cause },
        ]);
    },
  },
);
void tree.failed.then(() => process.exit(gaveUpExitCode));
process.once("SIGTERM", async () => {
  await tree.stop();
  await bus.drain();
  process.exit(0);
});
reportReady();

function tuned(whole: Model, snapshotEvery: number): Model {
  const { manifest } = whole;
  return { ...whole, manifest: { ...manifest, learning: { ...manifest.learning, snapshotEvery } } };
}

function die(): void {
  process.kill(process.pid, "SIGKILL");
}

function withPoison(around: UpdaterDeps): UpdaterDeps {
  const { poisonAt } = options;
  if (poisonAt === undefined) return around;
  const trap = new Trap(({ experience }) => experience.seq === poisonAt, die);
  return {
    ...around,
    store: trap.store(around.store),
    openLearner: async () => trap.learner(await around.openLearner()),
  };
}

/** Ends, or stops, the process at one boundary between two phases of a writer's life. */
function withFault(around: UpdaterDeps, fault: FaultPoint | undefined): UpdaterDeps {
  const { store, restore } = around;
  switch (fault) {
    case undefined:
      return around;
    case "after lease":
      return {
        ...around,
        acquireLease: async (signal, holder) => {
          const held = await around.acquireLease(signal, holder);
          if (held !== undefined) die();
          return held;
        },
      };
    case "after recover":
      if (restore === undefined) throw new Error("the wiring takes no orders");
      // Orders are taken from the moment on at which recovery is over.
      return {
        ...around,
        restore: {
          ...restore,
          listen: (obey) => {
            die();
            return restore.listen(obey);
          },
        },
      };
    case "before apply": {
      const trap = new Trap(() => true, die);
      return { ...around, store: trap.store(store), openLearner: async () => trap.learner(await around.openLearner()) };
    }
    default:
      return { ...around, store: wrapped(store, faultyStore(around, fault)) };
  }
}

function faultyStore(
  { store }: UpdaterDeps,
  fault: Exclude<FaultPoint, "after lease" | "after recover" | "before apply">,
): Partial<UpdaterDeps["store"]> {
  // Of the first commit of a writer, which says that it begins, nothing is known yet; what covers updates is a later one.
  let commits = 0;
  switch (fault) {
    case "after apply, before commit":
    case "stopped before commit":
      return {
        commit: (commit, expectedSeq) => {
          commits += 1;
          if (commits === 2) process.kill(process.pid, fault === "stopped before commit" ? "SIGSTOP" : "SIGKILL");
          return store.commit(commit, expectedSeq);
        },
      };
    case "after commit, before snapshot":
      return {
        saveSnapshot: (policy, behind) => {
          die();
          return store.saveSnapshot(policy, behind);
        },
      };
    case "in the middle of the snapshot":
      return {
        saveSnapshot: async (policy, behind) => {
          const saved = store.saveSnapshot(policy, behind);
          await eventLoopTurn();
          die();
          return saved;
        },
      };
    case "after snapshot, before truncation":
      return {
        truncate: async () => {
          die();
          await store.truncate();
        },
      };
    case "after truncation":
      return {
        truncate: async () => {
          await store.truncate();
          die();
        },
      };
    default:
      return fault satisfies never;
  }
}
