// What the buffer tells the instruments: of its searches, of its adaptation, of how full its memory is.
//
// Owns: these figures. Does not own: what they are figures of (buffer.ts).

import { type Adaptation, tallyOf } from "../../models/adaptation/adaptation.js";
import type { Embedded } from "../../models/adaptation/pass.js";
import { allFinite } from "../../models/learning/guardrails.js";
import type { Model } from "../../models/manifest.js";
import type { Memory } from "../../models/memory/memory.js";
import type { InferMeter } from "../../operations/metrics/infer-meter.js";
import type { Counters } from "../../operations/metrics/telemetry.js";

/** Told at each beat, until the returned functions are called. */
export function showMemory(
  meter: InferMeter,
  { manifest }: Model,
  state: { readonly experiences: number; readonly memory: Memory; readonly adaptation: Adaptation },
): readonly (() => void)[] {
  return [
    meter.show("experiences", () => state.experiences),
    meter.show("remembered", () => state.memory.lastStats?.size),
    meter.show("capacity", () => manifest.learning.capacity),
    meter.show("domains", () => tallyOf(state.adaptation).domains),
    meter.show("rolled_back", () => tallyOf(state.adaptation).toSource),
  ];
}

/** Rows that the memory cannot look for: their embedding is not finite. */
export function unsearchable({ embeddings, rows }: Embedded): number {
  if (allFinite(embeddings)) return 0;
  const width = embeddings.length / rows;
  const row = (index: number): Float32Array => embeddings.subarray(index * width, (index + 1) * width);
  return Array.from({ length: rows }, (_, index) => row(index)).filter((each) => !allFinite(each)).length;
}

/** Each row is a search; the rate is that of this process since it began. */
export function countSearches(counters: Counters, rows: number, failed: number): void {
  counters.add("knn_searches", rows);
  counters.add("knn_failures", failed);
  counters.set("knn_failure_rate", counters.get("knn_failures") / counters.get("knn_searches"));
}

/** The names of the gauges, made once. */
const gauges = (
  ["domains", "begun", "dropped", "switched", "floored", "toSource", "fromSource", "forgotten"] as const
).map((figure) => ({ figure, gauge: `adaptation_${figure}` }));

export function setGauges(counters: Counters, adaptation: Adaptation): void {
  const tally = tallyOf(adaptation);
  for (const { figure, gauge } of gauges) counters.set(gauge, tally[figure]);
}
