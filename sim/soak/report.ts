// The report of a soak: the figures of its evidence, as a document and as text.
//
// Owns: what is counted and how it reads. Does not own: the evidence, the judgement.

import { PercentileSketch } from "../../operations/metrics/percentile-sketch.js";
import type { Death, Violation } from "./evidence.js";
import type { FaultCounts } from "./plan.js";
import { auditActors, updateDips } from "./repair-invariants.js";
import type { SoakResult } from "./soak.js";

interface Spread {
  readonly n: number;
  readonly p50: number | null;
  readonly p95: number | null;
}

export interface SoakReport {
  readonly holds: boolean;
  readonly violations: readonly Violation[];
  readonly seed: number;
  readonly seconds: number;
  readonly interrupted: boolean;
  readonly faults: { readonly planned: FaultCounts; readonly struck: FaultCounts; readonly missed: readonly string[] };
  readonly requests: {
    readonly sent: number;
    readonly answered: number;
    readonly refused: Readonly<Record<string, number>>;
    readonly retried: number;
    readonly labelled: number;
    readonly latencyMs: Spread;
  };
  readonly log: {
    readonly experiences: number;
    /** Rows whose client had given up, or was refused, before it heard of the answer. */
    readonly unheard: number;
    readonly tasks: number;
    readonly commits: number;
    readonly version: number;
    readonly checksum: string;
  };
  readonly nodes: {
    readonly deaths: number;
    readonly byCause: Readonly<Record<string, number>>;
    readonly cleanups: number;
    /** Confirmed after the bound, because the broker was away: the root said so first. */
    readonly cleanupsOverdue: number;
    readonly replacedMs: Spread;
  };
  readonly actors: {
    readonly receipts: number;
    readonly lost: number;
    readonly redelivered: number;
    readonly repairMs: Spread;
    readonly restartsJudged: number;
    readonly restartsUnjudged: number;
  };
  /** From the death of a learning node, or the kill of its writer, to the next commit. */
  readonly updateDipMs: Spread;
  readonly outages: number;
}

export function reportOf(result: SoakResult, planned: FaultCounts): SoakReport {
  const { evidence, struck, violations, plan } = result;
  const { deaths, cleanups, outages, actorEvents, receipts, chain } = evidence;
  const acted = auditActors(actorEvents, outages);
  const { actor, node, stop, broker } = struck.counts;
  return {
    holds: violations.length === 0,
    violations,
    seed: plan.seed,
    seconds: result.seconds,
    interrupted: result.interrupted,
    faults: {
      planned: {
        actorKills: planned.actorKills,
        nodeKills: planned.nodeKills,
        stops: planned.stops,
        brokerKills: planned.brokerKills,
      },
      struck: { actorKills: actor, nodeKills: node, stops: stop, brokerKills: broker },
      missed: struck.missed,
    },
    requests: requestsOf(result),
    log: logOf(result),
    nodes: {
      deaths: deaths.length,
      byCause: counted(deaths.map(({ cause }) => cause)),
      cleanups: cleanups.pairs.length,
      cleanupsOverdue: cleanups.overdue.length,
      replacedMs: spread(
        deaths.flatMap(({ diedAtMs, readyAtMs }) => (readyAtMs === undefined ? [] : [readyAtMs - diedAtMs])),
      ),
    },
    actors: {
      receipts: receipts.filter(({ lost }) => lost !== null).length,
      lost: receipts.reduce((sum, { lost }) => sum + (lost ?? 0), 0),
      redelivered: receipts.reduce((sum, { redelivered }) => sum + (redelivered ?? 0), 0),
      repairMs: spread(
        receipts.flatMap(({ lost, repairMs }) => (lost === null || repairMs === null ? [] : [repairMs])),
      ),
      restartsJudged: acted.judged,
      restartsUnjudged: acted.unjudged,
    },
    updateDipMs: spread(updateDips([...writerDeaths(deaths), ...writerEnds(result)], chain)),
    outages: outages.length,
  };
}

function writerDeaths(deaths: readonly Death[]): readonly Death[] {
  return deaths.filter(({ node }) => node.startsWith("learning"));
}

function writerEnds({ evidence }: SoakResult): { readonly diedAtMs: number }[] {
  return evidence.actorEvents.flatMap(({ path, kind, atMs }) =>
    path.endsWith("-updater") && (kind === "crashed" || kind === "stopped") ? [{ diedAtMs: atMs }] : [],
  );
}

function requestsOf({ evidence, sent, retried }: SoakResult): SoakReport["requests"] {
  const requests = evidence.asked.filter(({ what }) => what === "request");
  const answered = requests.filter(({ end }) => end.kind === "answered");
  return {
    sent,
    answered: answered.length,
    refused: counted(requests.flatMap(({ end }) => (end.kind === "refused" ? [end.code] : []))),
    retried,
    labelled: evidence.asked.filter(({ end }) => end.kind === "labelled").length,
    latencyMs: spread(answered.map(({ tookMs }) => tookMs)),
  };
}

function logOf({ evidence }: SoakResult): SoakReport["log"] {
  const { rows, tasks, chain, asked, parameters } = evidence;
  const heard = new Set(asked.flatMap(({ id, end }) => (end.kind === "answered" ? [id] : [])));
  const { version, checksum } = parameters.live;
  return {
    experiences: rows.length,
    unheard: rows.filter(({ id }) => !heard.has(id)).length,
    tasks: tasks.length,
    commits: chain.length,
    version,
    checksum,
  };
}

function counted(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

function spread(values: readonly number[]): Spread {
  const sketch = new PercentileSketch();
  for (const value of values) sketch.add(Math.max(0, value));
  if (values.length === 0) return { n: 0, p50: null, p95: null };
  return { n: values.length, p50: sketch.quantile(0.5), p95: sketch.quantile(0.95) };
}

/** Violations of one name that are shown; the rest is in the document. */
const shownMax = 8;

export function renderSoak(report: SoakReport): string {
  const { faults, requests, log, nodes, actors } = report;
  const refused = Object.entries(requests.refused).map(([code, count]) => `, ${count} refused (${code})`);
  const causes = Object.entries(nodes.byCause).map(([cause, count]) => `${count} by ${cause}`);
  return [
    `soak of ${report.seconds.toFixed(0)} s, seed ${report.seed}${report.interrupted ? ", interrupted" : ""}`,
    `  faults      ${faults.struck.actorKills} actor kills, ${faults.struck.nodeKills} node kills, ${faults.struck.stops} stops, ${faults.struck.brokerKills} broker kills`,
    `  requests    ${requests.sent} sent, ${requests.answered} answered${refused.join("")}; ${requests.retried} second tries, ${requests.labelled} labels`,
    `  latency     ${range(requests.latencyMs)}`,
    `  log         ${log.experiences} experiences (${log.unheard} never heard of), ${log.tasks} update tasks, ${log.commits} commits, version ${log.version}`,
    `  nodes       ${nodes.deaths} deaths (${causes.join(", ")}), ${nodes.cleanups} cleaned up, ${nodes.cleanupsOverdue} of them after the bound; replaced ${range(nodes.replacedMs)}`,
    `  actors      ${actors.receipts} receipts, ${actors.lost} messages lost, ${actors.redelivered} redelivered; repaired ${range(actors.repairMs)}`,
    `              ${actors.restartsJudged} restarts heard whole, ${actors.restartsUnjudged} not to be judged`,
    `  updates     dip ${range(report.updateDipMs)}`,
    `  parameters  ${log.checksum}`,
    ...faults.missed.map((what) => `  not struck  ${what}`),
    ...shown(report.violations),
    report.holds ? "every invariant holds" : `${report.violations.length} violations`,
  ].join("\n");
}

function shown(violations: readonly Violation[]): string[] {
  const names = [...new Set(violations.map(({ name }) => name))];
  return names.flatMap((name) => {
    const same = violations.filter((violation) => violation.name === name);
    const rest = same.length > shownMax ? [`  VIOLATED    ${name}: ${same.length - shownMax} more`] : [];
    return [...same.slice(0, shownMax).map(({ about }) => `  VIOLATED    ${name}: ${about}`), ...rest];
  });
}

function range({ n, p50, p95 }: Spread): string {
  return p50 === null || p95 === null ? "never" : `p50 ${p50.toFixed(0)} ms, p95 ${p95.toFixed(0)} ms (${n})`;
}
