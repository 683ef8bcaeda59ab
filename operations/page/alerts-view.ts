// What fires, since when, and who knows of it.
//
// Owns: how alerts are laid out. Does not own: what is an alert (operations/alerts/), the two orders (alert-dialogs.ts).

import type { AlertList, ListedAlert } from "../alerts/alert-list.js";
import { AcknowledgeDialog, SilenceDialog } from "./alert-dialogs.js";
import { age, count, day, decimal } from "./figures.js";
import { badge, empty, loading, panel, severityBadge, table } from "./panel.js";
import type { Scene } from "./scene.js";
import { h, html, useState, type View } from "./view.js";

const rank = { critical: 0, warning: 1, info: 2 } as const;
const overShown = 30;

export function firingIn(alerts: AlertList | null): readonly ListedAlert[] {
  return (alerts?.alerts ?? [])
    .filter(({ state }) => state === "firing")
    .sort((a, b) => rank[a.severity] - rank[b.severity] || b.sinceMs - a.sinceMs);
}

type Asked = { readonly what: "acknowledge" | "silence"; readonly alert: ListedAlert } | null;

export function AlertsView({ scene }: { readonly scene: Scene }): View {
  const [asked, setAsked] = useState<Asked>(null);
  const { alerts } = scene.live;
  if (alerts === null) return loading("The alerts");
  const firing = firingIn(alerts);
  const over = alerts.alerts
    .filter(({ state }) => state === "resolved")
    .sort((a, b) => (b.resolvedAtMs ?? 0) - (a.resolvedAtMs ?? 0));
  const close = (): void => setAsked(null);
  return html`<div class="stack">
    ${panel(
      {
        title: "Firing",
        hint: "Worst first",
        wide: true,
        aside: firing.length === 0 ? badge("good", "nothing fires") : badge("bad", `${count(firing.length)} firing`),
      },
      firing.length === 0
        ? empty("Nothing fires", "What began and ended within the last while is below.")
        : html`<ul class="alerts">${firing.map((alert) => alertCard(alert, scene, setAsked))}</ul>`,
    )}
    ${alerts.silences.length === 0 ? null : silencesPanel(alerts, scene)}
    ${overPanel(over.slice(0, overShown), scene)}
    ${asked?.what === "acknowledge" ? h(AcknowledgeDialog, { scene, alert: asked.alert, close }) : null}
    ${asked?.what === "silence" ? h(SilenceDialog, { scene, alert: asked.alert, close }) : null}
  </div>`;
}

function alertCard(alert: ListedAlert, { nowMs, canOrder }: Scene, ask: (asked: Asked) => void): View {
  const { name, about, message, severity, count: times, sinceMs, acknowledged, silencedUntilMs, advice } = alert;
  const isSilenced = silencedUntilMs !== null && silencedUntilMs > nowMs;
  return html`<li key=${alert.fingerprint} class="alert severity-${severity}" data-alert=${name}>
    <div class="alert-main">
      <p class="alert-head">${severityBadge(severity)} <b>${name}</b> <span class="quiet">${about}</span></p>
      <p>${message}</p>
      ${advice === "" ? null : html`<p class="advice"><span class="advice-word">Do</span><span>${advice}</span></p>`}
      <p class="quiet">since ${day(sinceMs)}, for ${age(nowMs - sinceMs)}; told ${count(times)} ${times === 1 ? "time" : "times"}${against(alert)}</p>
      ${acknowledged === null ? null : html`<p class="known">${badge("info", "acknowledged")} by ${acknowledged.by}, ${age(nowMs - acknowledged.atMs)} ago${acknowledged.note === "" ? "" : `: ${acknowledged.note}`}</p>`}
      ${isSilenced ? html`<p class="known">${badge("quiet", "silenced")} for ${age(silencedUntilMs - nowMs)} more</p>` : null}
    </div>
    ${
      canOrder
        ? html`<div class="alert-orders">
      ${acknowledged === null ? html`<button type="button" aria-label=${`Acknowledge ${name} of ${about}`} onClick=${() => ask({ what: "acknowledge", alert })}>Acknowledge</button>` : null}
      ${isSilenced ? null : html`<button type="button" aria-label=${`Silence ${name} of ${about}`} onClick=${() => ask({ what: "silence", alert })}>Silence</button>`}
    </div>`
        : null
    }
  </li>`;
}

function against({ value, threshold }: ListedAlert): string {
  return value === null || threshold === null ? "" : `; ${decimal(value)} against ${decimal(threshold)}`;
}

function silencesPanel({ silences }: AlertList, { nowMs }: Scene): View {
  const columns = [{ title: "Silences" }, { title: "For" }, { title: "By" }, { title: "Note" }];
  const rows = silences.map(
    ({ matches, untilMs, by, note }) =>
      html`<tr><th scope="row"><code>${matches}</code></th><td>${age(untilMs - nowMs)} more</td><td>${by}</td><td>${note}</td></tr>`,
  );
  return panel(
    { title: "Silences", hint: "These fire, and nobody is told", wide: true },
    table("Silences", columns, rows),
  );
}

function overPanel(over: readonly ListedAlert[], { nowMs }: Scene): View {
  const columns = [
    { title: "Alert" },
    { title: "About" },
    { title: "Severity" },
    { title: "Ended" },
    { title: "Lasted" },
    { title: "Told", align: "right" as const },
    { title: "Message" },
  ];
  const rows = over.map(
    (alert) => html`<tr key=${`${alert.fingerprint}${alert.sinceMs}`}>
      <th scope="row">${alert.name}</th>
      <td>${alert.about}</td>
      <td>${severityBadge(alert.severity)}</td>
      <td title=${day(alert.resolvedAtMs ?? 0)}>${age(nowMs - (alert.resolvedAtMs ?? nowMs))} ago</td>
      <td>${age((alert.resolvedAtMs ?? nowMs) - alert.sinceMs)}</td>
      <td class="right">${count(alert.count)}</td>
      <td class="cause">${alert.message}</td>
    </tr>`,
  );
  return panel(
    { title: "Over", hint: "The newest that ended", wide: true },
    over.length === 0 ? empty("None has ended yet") : table("Alerts that are over", columns, rows),
  );
}
