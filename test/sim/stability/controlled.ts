// A stability run on a cluster of production parts in which one thing is wrong: what the assertions are for.

import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Assertion, assertionsOn, type Limits, limits } from "../../../sim/stability/assertions.js";
import { lookerAt } from "../../../sim/stability/cluster-look.js";
import type { Facts } from "../../../sim/stability/facts.js";
import { type Progress, runStability } from "../../../sim/stability/run.js";
import { systemClock as clock } from "../../../supervision/clock.js";
import { driftingDigits } from "../../cluster/pictures.js";
import { folder, model } from "../../cluster/running.js";
import { removeStore, startComposed, unsafeNode } from "../../soak/composed.js";

export const plants = ["leak", "stuck", "truncation", "cleanup"] as const;
/** What is wrong. `cleanup`: deaths are neither told nor cleaned up after. */
export type Plant = (typeof plants)[number];

export interface Control {
  readonly plants: readonly Plant[];
  readonly durationMs: number;
  readonly rate: number;
  readonly graceMs: number;
  readonly crashProbability: number;
  readonly seed: number;
  readonly limits?: Partial<Limits>;
  readonly settleMs?: number;
  readonly logMaxBytes?: number;
  readonly onProgress?: (progress: Progress) => void;
}

export interface Outcome {
  readonly facts: Facts;
  readonly assertions: readonly Assertion[];
}

export async function runControl(control: Control): Promise<Outcome> {
  const store = await mkdtemp(join(tmpdir(), "driftmend-control-"));
  const isPlanted = (plant: Plant): boolean => control.plants.includes(plant);
  const wrong = (...possible: Plant[]): Record<string, string> => {
    const unsafe = possible.find(isPlanted);
    return unsafe === undefined ? {} : { UNSAFE: unsafe };
  };
  const bound: Record<string, string> = control.logMaxBytes === undefined ? {} : { LOG_MAX: `${control.logMaxBytes}` };
  const cluster = await startComposed(
    {
      store,
      entry: unsafeNode,
      nodes: [
        { id: "serving-1", role: "serving", env: { ...wrong("leak"), ...bound } },
        { id: "learning-1", role: "learning", env: { ...wrong("stuck", "truncation"), ...bound } },
        { id: "operations-1", role: "operations", env: { ...wrong("cleanup"), ...bound } },
      ],
      ...(isPlanted("cleanup") ? { cleanUp: async () => ({ leasesCleaned: 0 }) } : {}),
    },
    () => undefined,
  );
  const { durationMs, rate, graceMs, crashProbability, seed, settleMs, onProgress = () => undefined } = control;
  try {
    const facts = await runStability(
      {
        ...{ durationMs, requests: null, rate, graceMs, crashProbability, seed, sampleEveryMs: 1_000 },
        ...{ model, folder, run: `control-${seed}` },
        ...(settleMs === undefined ? {} : { settleMs }),
      },
      {
        ...{
          context: cluster.context,
          look: lookerAt(cluster.context),
          samples: driftingDigits(seed),
          clock,
          onProgress,
        },
        signal: new AbortController().signal,
        onSample: () => undefined,
      },
    );
    return { facts, assertions: assertionsOn(facts, { ...limits, ...control.limits }) };
  } finally {
    await cluster.stop();
    await removeStore(store);
  }
}

export function failedIn({ assertions }: Outcome): readonly string[] {
  return assertions.flatMap(({ name, passed }) => (passed === false ? [name] : [])).sort();
}
