// Deaths, confirmations and starts, counted as they come from the cleanup stream: the running counterpart of the audit (cleanup-audit.ts).
//
// Owns: the counts, and which deaths wait for their confirmation. Does not own: the records, whether a confirmation came too late.
//
// C1. Only runs that were heard of count: a store that was used before holds the deaths of former runs.

import type { CleanupRecord } from "../../transport/messages/events.js";
import { lifeKey } from "../cleanup/cleanup-log.js";

interface RunTally {
  deaths: number;
  confirmed: number;
  overdue: number;
  restarts: number;
  reclaimed: number;
  /** Of deaths without a confirmation: when. */
  readonly open: Map<string, number>;
}

export interface CleanupFigures {
  readonly deaths: number;
  readonly confirmed: number;
  readonly overdue: number;
  /** Starts of a later incarnation. */
  readonly restarts: number;
  readonly reclaimed: number;
  readonly waiting: number;
  readonly oldestAtMs: number | null;
}

export class CleanupTally {
  readonly #runs = new Map<string, RunTally>();

  /** In the order of the stream, each record once. */
  take(record: CleanupRecord): void {
    const run = this.#runs.get(record.run) ?? {
      ...{ deaths: 0, confirmed: 0, overdue: 0, restarts: 0, reclaimed: 0 },
      open: new Map<string, number>(),
    };
    this.#runs.set(record.run, run);
    switch (record.kind) {
      case "died":
        run.deaths += 1;
        run.open.set(lifeKey(record), record.atMs);
        return;
      case "cleanup_confirmed":
        run.confirmed += 1;
        run.reclaimed += record.leases;
        run.open.delete(lifeKey(record));
        return;
      case "cleanup_overdue":
        run.overdue += 1;
        return;
      case "started":
        if (record.incarnation > 1) run.restarts += 1;
        return;
      case "reclaimed":
        run.reclaimed += 1;
        return;
      default:
        record satisfies never;
    }
  }

  figures(isKnownRun: (run: string) => boolean): CleanupFigures {
    const runs = [...this.#runs].flatMap(([run, tally]) => (isKnownRun(run) ? [tally] : []));
    const sum = (of: (tally: RunTally) => number): number => runs.reduce((total, tally) => total + of(tally), 0);
    const open = runs.flatMap((tally) => [...tally.open.values()]);
    return {
      deaths: sum(({ deaths }) => deaths),
      confirmed: sum(({ confirmed }) => confirmed),
      overdue: sum(({ overdue }) => overdue),
      restarts: sum(({ restarts }) => restarts),
      reclaimed: sum(({ reclaimed }) => reclaimed),
      waiting: open.length,
      oldestAtMs: open.length === 0 ? null : Math.min(...open),
    };
  }
}
