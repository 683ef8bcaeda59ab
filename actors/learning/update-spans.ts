// What the updater tells of its updates as spans: those that a commit covers, and those that were under way when it failed.
//
// Owns: how applied updates become jobs of the recorder. Does not own: the times (operations/log/model-writer.ts), the items
// (operations/traces/spans.ts), whether anything is traced (operations/traces/recorder.ts).

import type { Model } from "../../models/manifest.js";
import type { LoggedUpdate } from "../../operations/log/log-fold.js";
import type { Applied, Progress } from "../../operations/log/model-writer.js";
import type { Lap } from "../../operations/timings/update-laps.js";
import type { SpanRecorder, UpdateToRecord } from "../../operations/traces/recorder.js";
import { brokenOutcome } from "../../operations/traces/span-items.js";
import { parseTraceparent } from "../../operations/traces/trace-context.js";
import type { Life } from "../../supervision/actor/behaviour.js";

interface Deps {
  readonly model: Model;
  readonly spans?: SpanRecorder;
}
type Teller = Pick<Life<never>, "clock" | "path" | "incarnation">;

export function recordUpdates(
  deps: Deps,
  life: Teller,
  applied: readonly Applied[],
  { shared, begun }: Progress,
): void {
  const lapsOf = new Map(begun.map(({ update, own }) => [update.seq, own.laps]));
  record(deps, life, shared.laps, (inEpoch) =>
    applied.flatMap(({ update, outcome }) => {
      if (outcome === undefined) return [];
      const guard = outcome.kind === "refused" ? outcome.guard : undefined;
      return jobOf(update, { outcome: outcome.kind, guard, laps: (lapsOf.get(update.seq) ?? []).map(inEpoch) });
    }),
  );
}

/** Of an advance that threw. */
export function recordBroken(deps: Deps, life: Teller, { shared, begun }: Progress): void {
  record(deps, life, shared.laps, (inEpoch) =>
    begun.flatMap(({ update, own }) =>
      jobOf(update, { outcome: brokenOutcome, guard: undefined, laps: own.laps.map(inEpoch) }),
    ),
  );
}

function record(
  { spans, model }: Deps,
  { clock, path, incarnation }: Teller,
  shared: readonly Lap[],
  jobs: (inEpoch: (lap: Lap) => Lap) => readonly UpdateToRecord[],
): void {
  if (spans?.isOn !== true) return;
  const epochMs = clock.nowMs() - clock.monotonicMs();
  const inEpoch = (lap: Lap): Lap => ({ ...lap, fromMs: lap.fromMs + epochMs, toMs: lap.toMs + epochMs });
  spans.updated({ actor: path, incarnation }, model.manifest.name, jobs(inEpoch), shared.map(inEpoch));
}

function jobOf(
  { seq, entry, traceparent, storedAtMs }: LoggedUpdate,
  what: Pick<UpdateToRecord, "outcome" | "guard" | "laps">,
): UpdateToRecord[] {
  if (entry.kind !== "task") return [];
  const { traceId, experience: position, atMs } = entry.task;
  const context = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  const ofTrace = context?.traceId === traceId ? context : undefined;
  const parent = { parentSpanId: ofTrace?.parentSpanId, sampled: ofTrace?.sampled };
  // Clocks of two machines differ: a task is not taken up before it was stored.
  const firstMs = what.laps.reduce((least, lap) => Math.min(least, lap.fromMs), Number.POSITIVE_INFINITY);
  return [{ traceId, position, ...parent, updateSeq: seq, storedAtMs: Math.min(storedAtMs ?? atMs, firstMs), ...what }];
}
