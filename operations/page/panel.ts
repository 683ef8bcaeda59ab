// Pieces that views are made of: panels, badges, definitions, tables that scroll inside themselves, and what stands where nothing is.
//
// Owns: their markup, and that a colour never speaks alone. Does not own: their looks (style.css), what is in them.

import type { HealthReport } from "../health/health-report.js";
import { html, type View } from "./view.js";

export type Tone = "good" | "warn" | "bad" | "info" | "quiet";

export interface PanelParts {
  readonly title: string;
  /** One line of what it shows. */
  readonly hint?: string | undefined;
  /** What stands at the right of the title. */
  readonly aside?: View;
  readonly tone?: Tone | undefined;
  readonly wide?: boolean | undefined;
}

export function panel({ title, hint, aside, tone, wide }: PanelParts, ...content: readonly View[]): View {
  const classes = ["panel", tone === undefined ? "" : `tone-${tone}`, wide === true ? "wide" : ""];
  return html`<section class=${classes.filter((name) => name !== "").join(" ")} aria-label=${title}>
    <header class="panel-head">
      <div><h2>${title}</h2>${hint === undefined ? null : html`<p class="hint">${hint}</p>`}</div>
      ${aside === undefined ? null : html`<div class="aside">${aside}</div>`}
    </header>
    ${content}
  </section>`;
}

/** A word in its colour. */
export function badge(tone: Tone, word: string): View {
  return html`<span class="badge tone-${tone}"><i class="dot" aria-hidden="true"></i>${word}</span>`;
}

export const healthTone: Readonly<Record<HealthReport["status"], Tone>> = {
  healthy: "good",
  degraded: "warn",
  unhealthy: "bad",
};

export function severityBadge(severity: "critical" | "warning" | "info"): View {
  const tone = { critical: "bad", warning: "warn", info: "info" } as const;
  return badge(tone[severity], severity);
}

const trendWords = { increasing: "rising", stable: "steady", decreasing: "falling" } as const;
const trendArrows = { increasing: "↗", stable: "→", decreasing: "↘" } as const;

export function trend(value: keyof typeof trendWords, badWhenRising = true): View {
  const tone = value === "increasing" && badWhenRising ? "warn" : "quiet";
  return html`<span class="trend text-${tone}"><span aria-hidden="true">${trendArrows[value]}</span> ${trendWords[value]}</span>`;
}

export function facts(rows: readonly (readonly [string, View])[]): View {
  return html`<dl class="facts">${rows.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>`;
}

export interface Column {
  readonly title: string;
  readonly align?: "right";
  /** For eyes that do not need it: a column of buttons. */
  readonly silent?: boolean;
}

export function table(caption: string, columns: readonly Column[], rows: readonly View[]): View {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table>
      <caption class="unseen">${caption}</caption>
      <thead><tr>${columns.map(headCell)}</tr></thead>
      <tbody>${rows}</tbody>
    </table>
  </div>`;
}

function headCell({ title, align, silent }: Column): View {
  const text = silent === true ? html`<span class="unseen">${title}</span>` : title;
  return html`<th scope="col" class=${align === "right" ? "right" : ""}>${text}</th>`;
}

/** A share 0..1 as a bar, with its words beside it. */
export function bar(value: number, words: string, tone: Tone = "info"): View {
  const width = Math.max(0, Math.min(100, 100 * value));
  return html`<span class="meter"><span class="meter-track" aria-hidden="true"><span class="meter-fill tone-${tone}" style=${{ width: `${width}%` }}></span></span><span>${words}</span></span>`;
}

/** Nothing is there, and that is the whole truth. */
export function empty(title: string, text?: View): View {
  return html`<div class="empty"><p class="empty-title">${title}</p>${text === undefined ? null : html`<p>${text}</p>`}</div>`;
}

/** Something will be there soon. */
export function loading(what: string): View {
  return html`<div class="loading" role="status"><span class="unseen">${what} is being read</span><span class="bone"></span><span class="bone"></span><span class="bone short"></span></div>`;
}

/** Something should be there. */
export function failed(what: string, why: string, again?: () => void): View {
  const button = again === undefined ? null : html`<button type="button" onClick=${again}>Try again</button>`;
  return html`<div class="failed" role="alert"><p class="empty-title">${what} cannot be shown</p><p>${why}</p>${button}</div>`;
}

/** Long and exact, shown short: hex ids. */
export function shortId(id: string): View {
  return html`<code title=${id}>${id.length > 12 ? `${id.slice(0, 8)}…` : id}</code>`;
}
