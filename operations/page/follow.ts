// The stream of events, kept up: read with fetch, so that a header can carry the token, and asked for again when it ends.
//
// Owns: reconnecting with growing pauses, noticing a silence, fetching what the events do not say. Does not own: the fold (live.ts).
//
// F1. A connection that says nothing for `silenceMs` is dead, whatever the network thinks: events come every second.
// F2. After every new beginning everything is asked for once: events that were missed are not missed.

import type { Clock } from "../../models/clock.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import type { AlertList } from "../alerts/alert-list.js";
import type { HealthReport } from "../health/health-report.js";
import type { Series } from "../http/answer-shapes.js";
import type { ClusterMetrics } from "../metrics/cluster-metrics.js";
import { type Ask, authorization, refusalIn } from "./ask.js";
import { EventLines, type ServerEvent } from "./event-lines.js";
import type { SeriesPoint, Tidings } from "./live.js";

export interface FollowDeps {
  readonly fetch: typeof fetch;
  readonly ask: Ask;
  readonly clock: Clock;
  token(): string | null;
  tell(tidings: Tidings): void;
  /** Resolves when a person does not want to wait for the next try, or gave another token. */
  hurried(): Promise<void>;
}

const silenceMs = 8_000;
const firstPauseMs = 500;
const longestPauseMs = 8_000;

/** How long to wait before try `failures` + 1. */
export function pauseMs(failures: number): number {
  return Math.min(longestPauseMs, firstPauseMs * 2 ** Math.max(0, failures - 1));
}

type Ending =
  | { readonly kind: "ended"; readonly why: string; readonly hadBegun: boolean }
  | { readonly kind: "refused"; readonly message: string };

/** Ends never; the page ends with its tab. */
export async function follow(deps: FollowDeps): Promise<never> {
  const { clock, tell } = deps;
  let failures = 0;
  let lostAtMs: number | undefined;
  for (;;) {
    const ending = await once(deps);
    if (ending.kind === "refused") {
      tell({ kind: "connection", connection: { kind: "refused", message: ending.message } });
      await deps.hurried();
      continue;
    }
    if (ending.hadBegun) {
      failures = 0;
      lostAtMs = undefined;
    }
    failures += 1;
    lostAtMs ??= clock.nowMs();
    const waitMs = pauseMs(failures);
    const nextTryAtMs = clock.nowMs() + waitMs;
    tell({ kind: "connection", connection: { kind: "lost", sinceMs: lostAtMs, nextTryAtMs, why: ending.why } });
    await Promise.race([clock.delay(waitMs), deps.hurried()]);
  }
}

async function once(deps: FollowDeps): Promise<Ending> {
  const { clock, tell } = deps;
  const reading = new AbortController();
  let hadBegun = false;
  let isSilent = false;
  const watch = (): (() => void) =>
    clock.after(silenceMs, () => {
      isSilent = true;
      reading.abort();
    });
  let cancelWatch = watch();
  try {
    const response = await deps.fetch("/api/events", {
      headers: { accept: "text/event-stream", ...authorization(deps.token()) },
      signal: reading.signal,
    });
    if (response.status === 401 || response.status === 403)
      return { kind: "refused", message: refusalIn(await response.text(), response.status) };
    if (!response.ok || response.body === null)
      return { kind: "ended", why: `the server answers with ${response.status}`, hadBegun };
    hadBegun = true;
    tell({ kind: "connection", connection: { kind: "live", sinceMs: clock.nowMs() } });
    void askForAll(deps);
    const lines = new EventLines();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      cancelWatch();
      cancelWatch = watch();
      tell({ kind: "heard", atMs: clock.nowMs() });
      for (const event of lines.take(piece.value)) take(deps, event);
    }
    return { kind: "ended", why: "the server ended the connection", hadBegun };
  } catch {
    const why = isSilent ? `nothing was heard for ${silenceMs / 1_000} s` : "the server cannot be reached";
    return { kind: "ended", why, hadBegun };
  } finally {
    cancelWatch();
    reading.abort();
  }
}

function take({ tell, clock, ask }: FollowDeps, { event, data }: ServerEvent): void {
  switch (event) {
    case "metrics":
      tell({ kind: "metrics", metrics: JSON.parse(data) as ClusterMetrics, atMs: clock.nowMs() });
      return;
    case "health":
      tell({ kind: "health", health: JSON.parse(data) as HealthReport });
      return;
    case "alerts":
      tell({ kind: "alerts", alerts: JSON.parse(data) as AlertList });
      return;
    case "tree":
      tell({ kind: "tree", tree: JSON.parse(data) as TreeNode });
      // Something ended or began: there may be a new mark.
      void askForSeries({ tell, ask });
      return;
    case "series":
      tell({ kind: "point", point: JSON.parse(data) as SeriesPoint });
      return;
    default:
      // A newer server may say more.
      return;
  }
}

async function askForAll({ ask, tell, clock }: FollowDeps): Promise<void> {
  const [metrics, health, alerts, tree] = await Promise.all([
    ask.get<ClusterMetrics>("/api/metrics"),
    ask.get<HealthReport>("/api/health"),
    ask.get<AlertList>("/api/alerts"),
    ask.get<TreeNode>("/api/tree"),
    askForSeries({ ask, tell }),
  ]);
  if (metrics.kind === "answer") tell({ kind: "metrics", metrics: metrics.value, atMs: clock.nowMs() });
  if (health.kind === "answer") tell({ kind: "health", health: health.value });
  if (alerts.kind === "answer") tell({ kind: "alerts", alerts: alerts.value });
  if (tree.kind === "answer") tell({ kind: "tree", tree: tree.value });
}

async function askForSeries({ ask, tell }: Pick<FollowDeps, "ask" | "tell">): Promise<void> {
  const series = await ask.get<Series>("/api/series");
  if (series.kind === "answer") tell({ kind: "series", series: series.value });
}
