// An alerter on a clock of its own, with a bucket and sinks in memory.

import { alerter } from "../../actors/operations/alerter.js";
import type {
  AlertAnswer,
  AlerterDeps,
  AlerterMessage,
  AlerterQuestion,
} from "../../actors/operations/alerter-messages.js";
import type { AlertList } from "../../operations/alerts/alert-list.js";
import { type SavedAlerts, savedAlertsSchema } from "../../operations/alerts/alert-record.js";
import type { AlertEvent } from "../../operations/alerts/alert-rules.js";
import { deliver } from "../../operations/alerts/notify/delivery.js";
import type { Notification } from "../../operations/alerts/notify/notification.js";
import { notifyDefaults } from "../../operations/alerts/notify/notify-settings.js";
import type { Sink, SinkAnswer } from "../../operations/alerts/notify/sink.js";
import { Breakers } from "../../operations/faults/breakers.js";
import type { CheckResult } from "../../operations/health/health-report.js";
import type { ActorTree } from "../../supervision/tree/system.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import type { AlertOrder } from "../../transport/messages/alert-orders.js";
import { healthOf, metricsOf, nodeOf } from "../operations/alerts/reports.js";
import { smallTree } from "../supervision/small-tree.js";

/** What outlives an alerter: the bucket, the places where people read, and time. */
export class World {
  document: string | undefined;
  revision = 0;
  isAway = false;
  readonly sent: { readonly sink: string; readonly atMs: number; readonly notification: Notification }[] = [];
  readonly answers = new Map<string, () => SinkAnswer>();
  /** "kept" and "sent slack", in the order they happened. */
  readonly steps: string[] = [];

  lines(sink = "slack"): string[][] {
    return this.sent.filter((each) => each.sink === sink).map(({ notification }) => [...notification.lines]);
  }
}

export interface Scene {
  readonly clock: VirtualClock;
  readonly tree: ActorTree;
  readonly published: string[];
  readonly events: string[];
  hear(kind: string, about: string): void;
  report(checks: readonly CheckResult[]): void;
  order(order: AlertOrder): Promise<AlertAnswer>;
  list(): Promise<AlertList>;
}

export interface Given {
  readonly world?: World;
  readonly startMs?: number;
  readonly sinks?: readonly ("slack" | "mail")[];
  /** Never leads. */
  readonly follows?: boolean;
  /** The negative control: nothing that was kept is read. */
  readonly forgets?: boolean;
  readonly lookEveryMs?: number;
}

export async function scene({
  world = new World(),
  startMs = 1_000_000,
  sinks = ["slack"],
  ...given
}: Given = {}): Promise<Scene> {
  const clock = new VirtualClock(startMs);
  const heard = { published: [] as string[], events: [] as string[] };
  const listening = new Set<(event: AlertEvent) => void>();
  const attending = new Set<(question: AlerterQuestion) => void>();
  const deps = depsOf(world, clock, sinks, given, { ...heard, listening, attending });
  const behaviour = () => alerter(deps);
  const { tree } = await smallTree([{ id: "alerter", restart: "permanent", behaviour }], { deps: { clock } });
  await clock.advance(10);
  const asked = <T>(ask: (answer: (value: T) => void) => AlerterQuestion): Promise<T> =>
    new Promise((resolve) => {
      for (const tell of attending) tell(ask(resolve));
    });
  return {
    clock,
    tree,
    ...heard,
    hear: (kind, about) => {
      for (const tell of listening) tell({ kind, about, detail: "why" });
    },
    report: (checks) => {
      const metrics = metricsOf([nodeOf("serving-1")], clock.nowMs());
      tree.ref<AlerterMessage>("alerter").tell({ kind: "report", metrics, health: healthOf(checks) });
    },
    order: (order) => asked((answer) => ({ kind: "order", order, by: "ada", answer })),
    list: () => asked((answer) => ({ kind: "list", answer })),
  };
}

interface Heard {
  readonly published: string[];
  readonly events: string[];
  readonly listening: Set<(event: AlertEvent) => void>;
  readonly attending: Set<(question: AlerterQuestion) => void>;
}

function depsOf(
  world: World,
  clock: VirtualClock,
  names: readonly Sink["name"][],
  { follows = false, forgets = false, lookEveryMs = 1_000 }: Given,
  { published, events, listening, attending }: Heard,
): AlerterDeps {
  const telemetry = { event: (kind: string) => void events.push(kind) };
  const breakers = new Breakers({ clock, telemetry, origin: { actor: "alerter", incarnation: 1 } });
  const sinks = names.map((name) => sinkOf(name, world, clock));
  return {
    lookEveryMs,
    cluster: "driftmend",
    origin: `o${clock.nowMs()}`,
    telemetry,
    listen: (tell) => subscribe(listening, tell),
    attend: (tell) => subscribe(attending, tell),
    publish: ({ fingerprint, count }, state) => published.push(`${fingerprint} ${state} ${count}`),
    lead: async (tell, signal) => {
      const { document, revision } = world;
      const saved = document === undefined || forgets ? undefined : savedAlertsSchema.parse(JSON.parse(document));
      if (!follows) tell({ kind: "lead", saved, revision });
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    },
    write: async (saved, revision) => write(world, saved, revision),
    sinks: () => sinks,
    grouping: () => notifyDefaults.grouping,
    deliver: (sink, notification, sender) => deliver(sink, notification, { breakers, clock }, sender),
  };
}

function subscribe<T>(set: Set<T>, one: T): () => void {
  set.add(one);
  return () => set.delete(one);
}

async function write(world: World, saved: SavedAlerts, revision: number) {
  if (world.isAway) return { kind: "unavailable", why: "timeout" } as const;
  if (revision !== world.revision) return { kind: "overtaken" } as const;
  world.document = JSON.stringify(saved);
  world.revision += 1;
  world.steps.push("kept");
  return { kind: "written", revision: world.revision } as const;
}

function sinkOf(name: Sink["name"], world: World, clock: VirtualClock): Sink {
  return {
    name,
    target: `${name} test`,
    send: async (notification) => {
      const answer = world.answers.get(name)?.() ?? { kind: "taken", said: "ok" };
      world.steps.push(`${answer.kind} ${name}`);
      if (answer.kind === "taken") world.sent.push({ sink: name, atMs: clock.nowMs(), notification });
      return answer;
    },
  };
}
