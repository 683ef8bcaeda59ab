// `driftmend chaos run`: a seeded schedule of faults, and its report.
//
// Owns: what is said on the way and at the end, the exit code. Does not own: the run (operations/faults/fault-run.ts).
import { randomUUID } from "node:crypto";
import type { FaultMode } from "../../transport/messages/chaos-orders.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { formatDuration } from "../duration.js";
import { type FaultReport, FaultRun } from "../faults/fault-run.js";
import { strikableKinds, type TargetKind, targetKinds } from "../faults/fault-schedule.js";
import { renderFaultLine, renderFaultReport } from "../terminal/chaos.js";
import type { Terminal } from "../terminal/terminal.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { askTree } from "./look.js";

export interface ChaosRunOptions extends ClusterOptions {
  readonly probability: number;
  /** Milliseconds. */
  readonly duration: number;
  readonly seed: number;
  /** Milliseconds. */
  readonly every: number;
  readonly targets?: readonly TargetKind[];
  readonly modes?: readonly FaultMode[];
}

export async function chaosRun(options: ChaosRunOptions, terminal: Terminal): Promise<Outcome> {
  const settings = {
    probability: options.probability,
    seed: options.seed,
    targets: options.targets ?? targetKinds,
    modes: options.modes,
    everyMs: options.every,
    durationMs: options.duration,
  };
  if (strikableKinds(settings).length === 0)
    return {
      kind: "usage",
      message: `no target of ${settings.targets.join(", ")} takes ${options.modes?.join(", ") ?? "a fault"}`,
      next: "actors take crash, kill, hang, slow; nodes take sigkill, sigstop; the broker takes sigkill",
    };
  // An interrupted run still has a report: the faults under way are waited for.
  const patient = { ...terminal, interrupted: new AbortController().signal };
  return withCluster(options, "operator", patient, async (client) => {
    if ((await askTree(client, terminal)) === undefined)
      return { kind: "failed", message: "no node of the cluster answers", next: "driftmend up" };
    const { everyMs, durationMs, probability, seed } = settings;
    terminal.note(
      `${formatDuration(durationMs)} of an iteration every ${everyMs} ms, each strikes with probability ${probability}; seed ${seed}; Ctrl-C ends it`,
    );
    const run = new FaultRun(settings, {
      door: client,
      clock: terminal.clock,
      id: `run-${randomUUID()}`,
      tree: () => askTree(client, { ...terminal, note: () => undefined }),
      interrupted: terminal.interrupted,
      onFault: (record) => terminal.note(renderFaultLine(record, terminal.colours)),
    });
    const report = await run.run();
    terminal.print(
      terminal.json ? JSON.stringify(report) : renderFaultReport(report, terminal.width, terminal.colours),
    );
    return outcomeOf(report);
  });
}

function outcomeOf({ totals, endedBy }: FaultReport): Outcome {
  if (totals.lost > 0)
    return { kind: "failed", message: `${totals.lost} messages were lost`, next: "driftmend watch shows which" };
  if (totals.notMended > 0)
    return {
      kind: "failed",
      message: `${totals.notMended} struck ${totals.notMended === 1 ? "target does" : "targets do"} not run again`,
      next: "driftmend tree",
    };
  return endedBy === "interrupted" ? { kind: "interrupted" } : done;
}
