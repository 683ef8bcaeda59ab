// The web actor: the HTTP interface of an operations node.
//
// Owns: the listener and its port, the observer's newest word. Does not own: what is answered (operations/http/), the figures (observer.ts).
//
// W1. A dead incarnation's listener is closed, its connections with it, before the next one listens on the same port (B4). One that is stopped in
//     order answers what it was asked first, for `drainMs` at most; one that was killed or crashed cuts it.
// W2. A port that somebody else has is an error by name, tried again for ever with a growing pause. It never costs the node a restart: the
//     other actors of this node are worth more than the page.

import type { Clock } from "../../models/clock.js";
import type { HealthReport } from "../../operations/health/health-report.js";
import type { LiveEvents } from "../../operations/http/events.js";
import { addressText, type HttpAddress } from "../../operations/http/http-address.js";
import type { HttpServer } from "../../operations/http/server.js";
import type { Report } from "../../operations/http/sources.js";
import type { ClusterMetrics } from "../../operations/metrics/cluster-metrics.js";
import type { Telemetry } from "../../operations/metrics/telemetry.js";
import type { Behaviour, Life } from "../../supervision/actor/behaviour.js";
import { tellLater } from "../../supervision/actor/tell-later.js";
import { asError } from "../../supervision/exit-reason.js";

export type WebMessage =
  | { readonly kind: "report"; readonly metrics: ClusterMetrics; readonly health: HealthReport }
  | { readonly kind: "listen" }
  | { readonly kind: "look" };

/** One incarnation's server and what feeds it. */
export interface OpenWeb {
  readonly server: Pick<HttpServer, "listen" | "close">;
  readonly events: LiveEvents;
  /** Tells live readers what changed. */
  look(): Promise<void>;
}

export interface WebDeps {
  readonly address: HttpAddress;
  readonly lookEveryMs: number;
  /** How long requests that are being answered are waited for at the end; shorter than the whole `stop` may take. */
  readonly drainMs: number;
  readonly telemetry: Telemetry;
  open(newest: () => Report | undefined, life: Life<WebMessage>): Promise<OpenWeb>;
}

interface State {
  readonly web: OpenWeb;
  readonly told: { newest: Report | undefined };
  readonly clock: Clock;
  /** Where it listens; or how often in a row it could not. */
  place: { readonly kind: "listening"; readonly url: string } | { readonly kind: "refused"; readonly tries: number };
}

const firstPauseMs = 250;
const longestPauseMs = 5_000;

export function web(deps: WebDeps): Behaviour<WebMessage, State> {
  return {
    init: async (life) => {
      const told: State["told"] = { newest: undefined };
      const opened = await deps.open(() => told.newest, life);
      // One that ends before it is ready must not keep the port, however long it is on its way.
      const close = (): void => {
        opened.server.close().catch((error) => life.log.error("the HTTP interface did not close", { error }));
      };
      life.signal.addEventListener("abort", close, { once: true });
      const state: State = { web: opened, told, clock: life.clock, place: { kind: "refused", tries: 0 } };
      // An end that came while it was opened calls nobody any more.
      if (life.signal.aborted) close();
      else await listen(deps, state, life);
      // From here on `stop` ends it, and knows whether there is time for what is being answered.
      life.signal.removeEventListener("abort", close);
      tellLater(life, deps.lookEveryMs, { kind: "look" });
      return state;
    },
    receive: (state, message, turn) => {
      switch (message.kind) {
        case "report": {
          const { metrics, health } = message;
          state.told.newest = { metrics, health, heardAtMs: turn.clock.monotonicMs() };
          state.web.events.publish("metrics", metrics);
          state.web.events.publish("health", health);
          return;
        }
        case "look":
          tellLater(turn, deps.lookEveryMs, { kind: "look" });
          state.web.look().catch((error) => turn.fail(asError(error)));
          return;
        case "listen":
          return listen(deps, state, turn);
        default:
          return message satisfies never;
      }
    },
    stop: async ({ web: { server }, clock }, { kind }) => {
      if (kind !== "shutdown" && kind !== "normal") return server.close();
      const over = new AbortController();
      await server.close(clock.delay(deps.drainMs, over.signal)).finally(() => over.abort());
    },
    summary: ({ web: { events }, place, told }) => ({
      ...(place.kind === "listening" ? { url: place.url } : { url: null, tries: place.tries }),
      readers: events.readers,
      dropped: events.dropped,
      figuresAtMs: told.newest?.metrics.atMs ?? null,
    }),
  };
}

/** W2. */
async function listen({ address, telemetry }: WebDeps, state: State, life: Life<WebMessage>): Promise<void> {
  if (state.place.kind === "listening") return;
  const outcome = await state.web.server.listen(address);
  if (life.signal.aborted) return;
  if (outcome.kind === "listening") {
    state.place = { kind: "listening", url: outcome.url };
    return;
  }
  const tries = state.place.tries + 1;
  state.place = { kind: "refused", tries };
  const about = addressText(address);
  life.log.error("the HTTP interface cannot listen", { about, why: outcome.why, tries });
  telemetry.event("http_refused", { actor: life.path, incarnation: life.incarnation }, () => [
    { about, cause: outcome.why },
  ]);
  tellLater(life, Math.min(longestPauseMs, firstPauseMs * 2 ** (tries - 1)), { kind: "listen" });
}
