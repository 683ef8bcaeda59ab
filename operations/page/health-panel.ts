// How the cluster is: one word, why, and what to do.
//
// Owns: how a report is laid out. Does not own: the verdict (operations/health/).

import type { CheckResult, HealthReport } from "../health/health-report.js";
import { age } from "./figures.js";
import { badge, healthTone, loading, panel, severityBadge } from "./panel.js";
import type { Scene } from "./scene.js";
import { html, type View } from "./view.js";

const sentences: Readonly<Record<HealthReport["status"], string>> = {
  healthy: "Every check passes.",
  degraded: "It serves, and something is not as it should be.",
  unhealthy: "Something critical is wrong.",
};

export function healthPanel({ live, nowMs }: Scene): View {
  const { health } = live;
  if (health === null) return panel({ title: "Health" }, loading("Health"));
  const failing = health.checks.filter(({ status }) => status !== "pass");
  return panel(
    {
      title: "Health",
      tone: healthTone[health.status],
      aside: html`<span class="quiet">for ${age(nowMs - health.sinceMs)}</span>`,
    },
    html`<p class="verdict">${badge(healthTone[health.status], health.status)}<span>${sentences[health.status]}</span></p>
    ${failing.length === 0 ? null : html`<ul class="reasons">${failing.map((check) => reason(check, health, nowMs))}</ul>`}
    ${health.rules.rejected === null ? null : html`<p class="note tone-warn">The newer rules were not taken: ${health.rules.rejected}</p>`}
    <details class="all-checks"><summary>All ${health.checks.length} checks</summary><ul class="checks">${health.checks.map(line)}</ul></details>`,
  );
}

function reason(check: CheckResult, { recommendations }: HealthReport, nowMs: number): View {
  const advice = recommendations.filter((each) => each.check === check.name && each.about === check.about);
  return html`<li>
    <p>${severityBadge(check.severity)} <b>${check.name}</b> <span class="quiet">${check.about}, for ${age(nowMs - check.sinceMs)}</span></p>
    <p>${check.message}</p>
    ${advice.map(({ text }) => html`<p class="advice"><span class="advice-word">Do</span><span>${text}</span></p>`)}
  </li>`;
}

const checkTone = { pass: "good", warn: "warn", fail: "bad" } as const;

function line(check: CheckResult): View {
  return html`<li>${badge(checkTone[check.status], check.status)}<span><b>${check.name}</b> <span class="quiet">${check.about}</span><br />${check.message}</span></li>`;
}
