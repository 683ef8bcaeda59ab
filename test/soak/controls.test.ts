// Negative controls of the soak: the same load, the same checks, and a cluster from which one protection was taken away. Each must be
// reported by name; its twin, to which the same thing happens with the protection in place, must be reported whole.
//
// Substrate: a real broker, real node processes that run unsafe-node.js, and the moment chosen such that the violation cannot be missed.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { confirmCleanup } from "../../operations/cluster/cleanup-confirmation.js";
import { runSoak, type Scene, type SoakResult } from "../../sim/soak/soak.js";
import { systemClock as clock } from "../../supervision/clock.js";
import { driftingDigits } from "../cluster/pictures.js";
import { folder, lookAt, model, temporaryStore } from "../cluster/running.js";
import { until } from "../until.js";
import { type ComposedNode, type Composition, removeStore, searchPath, startComposed, unsafeNode } from "./composed.js";
import { faultPoints } from "./fault-points.js";

interface Play {
  readonly unsafe?: "outbox" | "write-ahead" | "commit-fence";
  readonly scene?: string;
  readonly writers?: number;
  readonly cleanUp?: Composition["cleanUp"];
  readonly rate?: number;
  readonly calmMs?: number;
  readonly during?: (scene: Scene, once: string) => Promise<void>;
}

const withinMs = 40_000;

async function play(t: ExecutionContext, what: Play): Promise<SoakResult> {
  t.timeout(150_000);
  const store = await temporaryStore();
  if (process.env.KEEP === undefined) t.teardown(() => removeStore(store));
  else t.log(store);
  const aside = await temporaryStore();
  t.teardown(() => removeStore(aside));
  const once = join(aside, "once");
  const env = { UNSAFE: what.unsafe ?? "", SCENE: what.scene ?? "", ONCE: once };
  const writers = Array.from({ length: what.writers ?? 1 }, (_, index): ComposedNode => {
    return { id: `learning-${index + 1}`, role: "learning", env };
  });
  const nodes: ComposedNode[] = [
    { id: "serving-1", role: "serving", env },
    ...writers,
    { id: "operations-1", role: "operations", env },
  ];
  const { cleanUp, during } = what;
  const result = await runSoak(
    {
      ...{ actorKills: 0, nodeKills: 0, stops: 0, brokerKills: 0, seed: 1 },
      ...{ rate: what.rate ?? 60, calmMs: what.calmMs ?? 1_000, model, folder, store, searchPath, run: "control" },
    },
    {
      start: (onEvent) =>
        startComposed({ store, entry: unsafeNode, nodes, ...(cleanUp === undefined ? {} : { cleanUp }) }, onEvent),
      samples: driftingDigits(3),
      clock,
      signal: new AbortController().signal,
      onProgress: () => undefined,
      ...(during === undefined ? {} : { during: (scene) => during(scene, once) }),
    },
  );
  t.log(`${result.sent} requests, ${result.violations.length} violations; ${names(result).join(", ")}`);
  t.log(`written by ${[...new Set(result.evidence.chain.map(({ by }) => by))].join(", ")}`);
  return result;
}

function names({ violations }: SoakResult): string[] {
  return [...new Set(violations.map(({ name }) => name))].sort();
}

const happened = async (once: string): Promise<number | undefined> =>
  readFile(once, "utf8").then(Number, () => undefined);

const crash = { scene: "crash-after-model", during: (_: Scene, once: string) => untilMet(once) } as const;

async function untilMet(once: string): Promise<void> {
  await until("the scene", withinMs, async () => (await happened(once)) !== undefined);
}

test.serial("an actor that crashes after its work and before its turn commits does nothing twice", async (t) => {
  const { violations } = await play(t, crash);
  t.deepEqual(violations, []);
});

test.serial(
  "negative control: without the outbox fence the same crash gives requests a second experience",
  async (t) => {
    t.true(names(await play(t, { ...crash, unsafe: "outbox" })).includes("repeated_experience"));
  },
);

test.serial(
  "a voter that crashes between the append and the reply replies later what the log says (law 2)",
  async (t) => {
    const { violations } = await play(t, { ...crash, scene: "crash-after-append" });
    t.deepEqual(violations, []);
  },
);

const death = {
  scene: "die-after-reply",
  during: (scene: Scene, once: string) => replaced(scene, "serving-1", once),
} as const;

/** The scene has been met, and the next incarnation of the node serves. */
async function replaced({ witness }: Scene, node: string, once: string): Promise<void> {
  await untilMet(once);
  await until(`${node} is back`, withinMs, () => (witness.running(node)?.incarnation ?? 0) > 1);
}

test.serial("a node that dies right after a reply has logged what it replied (law 2)", async (t) => {
  const { violations, evidence } = await play(t, death);
  t.is(evidence.deaths.length, 1);
  t.deepEqual(violations, []);
});

test.serial(
  "negative control: without the write-ahead order the same death leaves answers without experience",
  async (t) => {
    t.true(names(await play(t, { ...death, unsafe: "write-ahead" })).includes("answered_without_experience"));
  },
);

/** The writer that froze wakes up after the other one has gone on. */
async function wakeTheOld({ context, witness }: Scene, once: string): Promise<void> {
  await untilMet(once);
  const pid = (await happened(once)) ?? 0;
  const frozen = witness.running("learning-1")?.pid === pid ? "learning-1" : "learning-2";
  const sight = await lookAt(context);
  // Beyond all that the frozen one can hold: a first word of the other one leaves room for it to go on as if nothing had been.
  const { lastSeq } = await sight.log.state("update");
  await until("the other writer goes on", withinMs, async () => {
    const last = (await sight.log.lastCommit())?.commit;
    return last !== undefined && last.node !== frozen && last.updateSeq >= lastSeq;
  });
  await sight.close();
  process.kill(pid, "SIGCONT");
}

const zombie = { scene: "freeze-before-commit", writers: 2, during: wakeTheOld, rate: 100, calmMs: 3_000 } as const;

test.serial("a writer that slept through its lease is refused when it wakes (S2-39)", async (t) => {
  const { violations, evidence } = await play(t, zombie);
  t.is(new Set(evidence.chain.map(({ by }) => by)).size, 2, "both wrote, one after the other");
  t.deepEqual(violations, []);
});

test.serial("negative control: without the commit fence it writes a second history", async (t) => {
  t.true(names(await play(t, { ...zombie, unsafe: "commit-fence" })).includes("two_histories"));
});

async function killTheWriter({ witness }: Scene): Promise<void> {
  process.kill(witness.running("learning-1")?.pid ?? 0, "SIGKILL");
  await until("learning-1 is back", withinMs, () => (witness.running("learning-1")?.incarnation ?? 0) > 1);
}

test.serial("a dead node is cleaned up before the next incarnation starts (S0-34, S0-43)", async (t) => {
  const { violations, evidence } = await play(t, { during: killTheWriter });
  t.is(evidence.deaths.length, 1);
  t.deepEqual(violations, []);
});

test.serial("negative control: a root that does not wait for the cleanup is found out", async (t) => {
  const cleanUp: Composition["cleanUp"] = async (deps, dead) => {
    void clock.delay(200).then(() => confirmCleanup(deps, dead));
    return { leasesCleaned: 0 };
  };
  t.true(names(await play(t, { during: killTheWriter, cleanUp })).includes("cleanup_after_start"));
});

test.serial(
  "a serving node may end at any moment of a request: each is answered, has one experience and one task (S2-35, S0-47)",
  async (t) => {
    const last = faultPoints.length + 1;
    const { violations, evidence } = await play(t, {
      scene: "fault-points",
      during: async ({ witness }) => {
        await until("every point was met", withinMs, () => (witness.running("serving-1")?.incarnation ?? 0) === last);
      },
    });
    t.is(evidence.deaths.length, faultPoints.length);
    t.true(evidence.deaths.every(({ cause }) => cause === "signal SIGKILL"));
    t.true(
      evidence.asked.every(({ end }) => end.kind !== "refused" && end.kind !== "failed"),
      "through retries",
    );
    t.deepEqual(violations, []);
  },
);
