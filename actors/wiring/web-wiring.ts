// What the web actor serves: the routes over the real cluster, and the story of learning as it goes on.
//
// Owns: where the HTTP interface meets transport. Does not own: the routes, the listener's life (web.ts), when this is loaded (web-deps.ts).

import type { Manifest } from "../../models/manifest.js";
import { Access } from "../../operations/http/access.js";
import { type ClusterDoor, clusterSources } from "../../operations/http/cluster-sources.js";
import { LiveEvents } from "../../operations/http/events.js";
import { hearTelemetry } from "../../operations/http/heard-telemetry.js";
import { reachOf } from "../../operations/http/http-address.js";
import { type HttpSettings, usualRate } from "../../operations/http/http-settings.js";
import { ClientDoor } from "../../operations/http/kserve/client-door.js";
import { kserveRoutes } from "../../operations/http/kserve/routes-kserve.js";
import { ServedModels } from "../../operations/http/kserve/served-models.js";
import { keptMax, LearningBook, learningEvents } from "../../operations/http/learning-book.js";
import { LiveLooks } from "../../operations/http/live-looks.js";
import { readPage } from "../../operations/http/page-file.js";
import type { Route } from "../../operations/http/route.js";
import { documentRoutes } from "../../operations/http/routes-documents.js";
import { lookRoutes } from "../../operations/http/routes-looks.js";
import { orderRoutes } from "../../operations/http/routes-orders.js";
import { openServer } from "../../operations/http/server.js";
import type { Report } from "../../operations/http/sources.js";
import { StabilityShelf, stabilityEvent } from "../../operations/http/stability-shelf.js";
import { reportSources, traceSources } from "../../operations/http/told-sources.js";
import type { ClusterMetrics } from "../../operations/metrics/cluster-metrics.js";
import type { Telemetry } from "../../operations/metrics/telemetry.js";
import type { TraceShelf } from "../../operations/traces/trace-shelf.js";
import type { Life } from "../../supervision/actor/behaviour.js";
import { asError } from "../../supervision/exit-reason.js";
import { isLink } from "../../transport/log/chain.js";
import { openLog } from "../../transport/log/log.js";
import { decodeCommit } from "../../transport/log/records.js";
import { parseEvent } from "../../transport/messages/events.js";
import type { OpenWeb, WebMessage } from "../operations/web.js";

export interface WebSurroundings extends ClusterDoor {
  readonly telemetry: Telemetry;
  readonly version: string;
  /** Looked at anew, again and again. */
  readonly models: readonly string[];
  /** Of the models that are to be served, as of now. */
  readonly manifests: () => readonly Manifest[];
  /** Prometheus' text format; without it there is none. */
  readonly exposition: ((metrics: ClusterMetrics) => string) | undefined;
  /** Made anew by every incarnation; without it there are no traces. */
  readonly traces: (() => TraceShelf) | undefined;
  /** Where reports of stability runs lie; none are shown without it. */
  readonly reports: string | undefined;
}

/** What one incarnation of the web actor serves, until its life ends. */
export async function openWeb(
  around: WebSurroundings,
  settings: HttpSettings,
  newest: () => Report | undefined,
  life: Life<WebMessage>,
): Promise<OpenWeb> {
  const { clock, exposition, version } = around;
  const { address, tokens } = settings;
  const reach = reachOf(address);
  const book = new LearningBook([]);
  const shelf = new StabilityShelf(clock, around.reports);
  const traces = around.traces?.();
  const hear = (wanted: readonly string[], take: (bytes: Uint8Array) => void): void =>
    void hearTelemetry(around, wanted, take, life.signal).catch((error) => life.fail(asError(error)));
  const kinds = [...learningEvents, stabilityEvent];
  hear(kinds.map(around.subjects.event), (bytes) => {
    const event = parseEvent(bytes);
    if (event.kind !== "ok") return;
    if (event.value.kind === stabilityEvent) shelf.heard(event.value);
    else book.heard(event.value);
  });
  if (traces !== undefined) hear(traces.subjects, (bytes) => traces.take(bytes));
  const followNew = followCommits(around, book, life);
  const stability = { stability: () => shelf.list(), stabilityReport: (id: string) => shelf.html(id) };
  const told = { newest, ...reportSources(around), ...traceSources(traces), ...stability };
  const sources = clusterSources(around, told, book);
  const events = new LiveEvents(clock);
  const page = await readPage();
  if (page.kind === "absent") life.log.warn(page.message, {});
  // What is asked for inferences lasts until the last answer is given, which is later than the end of this incarnation's life.
  const over = new AbortController();
  // The description is of the server that serves it, and made when the first one asks: it takes as long as the rest of the server.
  let describe = (): unknown => undefined;
  const server = await openServer({
    routes: [
      ...lookRoutes({ sources, clock, exposition }),
      ...orderRoutes(sources),
      ...documentRoutes({ sources, page, openApi: () => describe() }),
      ...inferenceRoutes(around, settings, { log: life.log, signal: over.signal }),
    ],
    rate: { perMinute: settings.ratePerMinute ?? usualRate[reach], clock },
    access: new Access({ reach, tokens }, clock),
    events,
    log: life.log,
    version,
  });
  let description: unknown;
  describe = () => {
    description ??= server.openApi();
    return description;
  };
  const looks = new LiveLooks(sources, events);
  const look = (): Promise<void> => {
    followNew();
    return looks.look();
  };
  const close = async (patience?: Promise<unknown>): Promise<void> => {
    await server.close(patience).finally(() => over.abort());
  };
  return { server: { listen: server.listen, close }, events, look };
}

/** As a client of the cluster, over a connection of its own (least privilege): what comes by HTTP may do no more than that. */
function inferenceRoutes(
  { clock, version, manifests: models, bus }: WebSurroundings,
  { connectClient: connect }: HttpSettings,
  { log, signal }: Pick<Life<WebMessage>, "log" | "signal">,
): readonly Route[] {
  if (connect === undefined) return [];
  const door = new ClientDoor({ connect, clock, log, signal });
  const asker = () => door.client();
  const served = new ServedModels(asker, clock);
  return kserveRoutes({
    ...{ version, clock, models, asker },
    served: () => served.names(),
    deadlineMs: bus.timeouts.client,
  });
}

/** From the log, as far back as the story goes, and each new one. Models come and go: the returned function looks which there are. */
function followCommits(around: WebSurroundings, book: LearningBook, life: Life<WebMessage>): () => void {
  const { bus, subjects, clock } = around;
  const log = openLog(bus, clock);
  const followed = new Map<string, AbortController>();
  const follow = async (model: string, over: AbortSignal): Promise<void> => {
    const stream = subjects.stream("weights", model);
    const state = await log.state(stream);
    const fromSeq = state.kind === "unavailable" ? 1 : Math.max(1, state.state.lastSeq - keptMax + 1);
    const signal = AbortSignal.any([life.signal, over]);
    for await (const { seq, bytes, headers } of log.follow(stream, { fromSeq, signal })) {
      if (!isLink({ seq, headers })) continue;
      const commit = decodeCommit(bytes);
      if (commit.kind === "ok") book.committed(commit.value);
    }
  };
  const followNew = (): void => {
    const { models } = around;
    for (const [model, ending] of followed) {
      if (models.includes(model)) continue;
      ending.abort();
      followed.delete(model);
      book.end(model);
    }
    for (const model of models.filter((name) => !followed.has(name))) {
      const ending = new AbortController();
      followed.set(model, ending);
      book.begin(model);
      follow(model, ending.signal).catch((error) => life.fail(asError(error)));
    }
  };
  followNew();
  return followNew;
}
