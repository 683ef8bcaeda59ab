// The page as a whole: header, ways to the views, the view, what is said aloud.
//
// Owns: which view is shown, where the focus goes, the title of the tab. Does not own: the views.
//
// N1. After a step to another view the focus is on its heading: whoever does not see it hears where he is.
// N2. A view that cannot be drawn says so and leaves the rest of the page standing.

import type { Clock } from "../../models/clock.js";
import { AlertsView, firingIn } from "./alerts-view.js";
import type { Ask } from "./ask.js";
import { connectionBadge, connectionBanner } from "./connection-note.js";
import { count } from "./figures.js";
import { LearningView } from "./learning-view.js";
import type { Live } from "./live.js";
import { overview } from "./overview.js";
import { badge, empty, failed, healthTone } from "./panel.js";
import { QueuesView } from "./queues-view.js";
import { addressOf, type Route, readRoute, type ViewName, viewNames, viewOf, viewTitles } from "./route.js";
import type { Scene } from "./scene.js";
import { StabilityView } from "./stability-view.js";
import { ThemeField } from "./theme.js";
import { TokenField } from "./token-field.js";
import { TraceView } from "./trace-view.js";
import { TracesView } from "./traces-view.js";
import { TreeView } from "./tree-view.js";
import { h, html, useEffect, useErrorBoundary, useRef, useState, type View } from "./view.js";

export interface AppProps {
  readonly live: Live;
  readonly ask: Ask;
  readonly clock: Clock;
  readonly token: string | null;
  readonly storage: Storage;
  keepToken(token: string | null): void;
  /** Tries to connect now. */
  hurry(): void;
}

const secondMs = 1_000;

export function App(props: AppProps): View {
  const { live, ask, clock, token } = props;
  const [route, setRoute] = useState<Route>(readRoute(location.hash));
  const [said, setSaid] = useState("");
  const heading = useRef<HTMLHeadingElement>(null);
  const browserMs = useSeconds(clock);
  useEffect(() => {
    const step = (): void => {
      setRoute(readRoute(location.hash));
      scrollTo(0, 0);
      requestAnimationFrame(() => {
        heading.current?.focus({ preventScroll: true });
        // On a narrow screen the ways to the views scroll sideways.
        document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
      });
    };
    addEventListener("hashchange", step);
    return () => removeEventListener("hashchange", step);
  }, []);
  useAlertsSaid(live, setSaid);
  const title = titleOf(route);
  useEffect(() => {
    document.title = [firing(live), title, live.metrics?.cluster ?? "driftmend"]
      .filter((part) => part !== "")
      .join(" · ");
  });
  const scene: Scene = { live, ask, clock, nowMs: browserMs + live.aheadMs, canOrder: token !== null, say: setSaid };
  return html`
    <a class="skip" href="#main" onClick=${(event: Event) => skip(event, heading.current)}>Skip to the content</a>
    ${header(props, browserMs)}
    <div class="frame">
      ${navigation(route, live)}
      <main id="main">
        ${connectionBanner(live, browserMs, props.hurry)}
        <h1 ref=${heading} tabindex="-1">${title}</h1>
        ${h(Guarded, { key: location.hash, what: title, content: () => shown(route, scene) })}
      </main>
    </div>
    <div class="unseen" aria-live="polite" id="said">${said}</div>`;
}

/** The browser's time, to the second, as long as the page is open. */
function useSeconds(clock: Clock): number {
  const [nowMs, setNowMs] = useState(clock.nowMs());
  useEffect(() => clock.after(secondMs - (nowMs % secondMs), () => setNowMs(clock.nowMs())), [nowMs]);
  return Math.max(nowMs, clock.nowMs() - secondMs);
}

/** Says what began to fire and what ended, once each. */
function useAlertsSaid({ alerts }: Live, say: (words: string) => void): void {
  const known = useRef<ReadonlySet<string> | null>(null);
  useEffect(() => {
    if (alerts === null) return;
    const now = firingIn(alerts);
    const before = known.current;
    known.current = new Set(now.map(({ fingerprint }) => fingerprint));
    if (before === null) return;
    const begun = now.filter(({ fingerprint }) => !before.has(fingerprint));
    const ended = [...before].filter((fingerprint) => !known.current?.has(fingerprint));
    const words = [
      ...begun.map(({ name, about }) => `Alert ${name} of ${about} fires.`),
      ...(ended.length > 0 ? [`${ended.length} alerts ended.`] : []),
    ];
    if (words.length > 0) say(words.join(" "));
  }, [alerts]);
}

function skip(event: Event, heading: HTMLElement | null): void {
  event.preventDefault();
  heading?.focus();
}

function header({ live, token, keepToken, storage }: AppProps, nowMs: number): View {
  const { metrics, health } = live;
  const served =
    metrics?.models.map(({ name, version, mode }) => `${name}, version ${count(version)}, ${mode}`).join("; ") ?? "";
  return html`<header class="top">
    <a class="brand" href=${addressOf("overview")}><svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true"><path d="M2 13c3 0 3-7 6-7s3 9 6 9 2-3 4-3" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" /></svg><span>${metrics?.cluster ?? "driftmend"}</span></a>
    <div class="top-state">
      ${health === null ? null : html`<span data-health=${health.status}>${badge(healthTone[health.status], health.status)}</span>`}
      <span data-connection=${live.connection.kind}>${connectionBadge(live, nowMs)}</span>
      <span class="served quiet">${served}</span>
    </div>
    <div class="top-tools">${h(TokenField, { hasToken: token !== null, keep: keepToken })}${h(ThemeField, { storage })}</div>
  </header>`;
}

const shortTitles: Partial<Record<ViewName, string>> = { stability: "Stability" };

function navigation(route: Route, live: Live): View {
  const current = viewOf(route);
  const counts: Partial<Record<ViewName, number>> = { alerts: firingIn(live.alerts).length };
  return html`<nav aria-label="Views"><ul>${viewNames.map((view) => {
    const number = counts[view] ?? 0;
    return html`<li><a href=${addressOf(view)} aria-current=${view === current ? "page" : undefined}><span>${shortTitles[view] ?? viewTitles[view]}</span>${number === 0 ? null : html`<span class="count">${number}<span class="unseen"> firing</span></span>`}</a></li>`;
  })}</ul></nav>`;
}

function titleOf(route: Route): string {
  switch (route.kind) {
    case "view":
      return viewTitles[route.view];
    case "trace":
      return "Trace";
    case "unknown":
      return "No such view";
    default:
      return route satisfies never;
  }
}

function firing({ alerts }: Live): string {
  const number = firingIn(alerts).length;
  return number === 0 ? "" : `(${number})`;
}

function shown(route: Route, scene: Scene): View {
  if (route.kind === "trace") return h(TraceView, { scene, traceId: route.traceId });
  if (route.kind === "unknown")
    return empty("There is no such view", html`<a href=${addressOf("overview")}>To the overview</a>`);
  switch (route.view) {
    case "overview":
      return overview(scene);
    case "tree":
      return h(TreeView, { scene });
    case "learning":
      return h(LearningView, { scene });
    case "queues":
      return h(QueuesView, { scene });
    case "alerts":
      return h(AlertsView, { scene });
    case "traces":
      return h(TracesView, { scene });
    case "stability":
      return h(StabilityView, { scene });
    default:
      return route.view satisfies never;
  }
}

interface GuardedProps {
  readonly what: string;
  readonly content: () => View;
}

function Guarded({ what, content }: GuardedProps): View {
  const [error, again] = useErrorBoundary();
  if (error !== undefined) return failed(what, error instanceof Error ? error.message : String(error), again);
  return h(Drawn, { content });
}

function Drawn({ content }: { readonly content: () => View }): View {
  return html`${content()}`;
}
