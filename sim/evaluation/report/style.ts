// How the report's page looks, light and dark, on screen and on paper.
//
// Owns: what stands in this style sheet alone. Does not own: what all reports share (sim/page/style.ts), the page's parts (page.ts), what
// stands in a chart (chart.ts).

import { baseStyle } from "../../page/style.js";

/** Line colours in the order of the methods' names; the first is the source's. */
const lights = [
  ...["#6b7280", "#a16207", "#dc2626", "#ea580c", "#ca8a04", "#4d7c0f", "#0f766e", "#0891b2", "#7c3aed"],
  ...["#2563eb", "#c026d3", "#059669", "#be123c", "#1e3a8a"],
];
const darks = [
  ...["#9ca3af", "#d6a75a", "#f87171", "#fb923c", "#facc15", "#a3e635", "#2dd4bf", "#22d3ee", "#a78bfa"],
  ...["#60a5fa", "#e879f9", "#34d399", "#fb7185", "#93c5fd"],
];

export const colourCount = lights.length;

const variables = (colours: readonly string[]): string => colours.map((colour, i) => `--m${i}:${colour};`).join("");
const classes = lights.map((_, i) => `.m${i}{--own:var(--m${i})}`).join("");

export const style = `${baseStyle}
:root{--even:#eef1f6;--odd:#f8f9fb;--clean:#e8f5ec;${variables(lights)}}
@media (prefers-color-scheme:dark){:root{--even:#222936;--odd:#1d232e;--clean:#1d3026;${variables(darks)}}}
tr.own td:first-child{font-weight:650}
.swatch{display:inline-block;width:14px;height:4px;border-radius:2px;margin-right:8px;vertical-align:middle;background:var(--own)}
.bar{display:flex;flex-wrap:wrap;gap:6px;align-items:center}
.legend{position:sticky;top:0;z-index:2;background:var(--page);padding:12px 0 10px;margin-top:12px}
button{font:inherit;font-size:13px;color:inherit;background:var(--card);border:1px solid var(--rule);border-radius:999px;padding:3px 12px;cursor:pointer}
button[aria-pressed=false]{opacity:.45;text-decoration:line-through}
.seeds button[aria-pressed=false]{text-decoration:none}
.seeds button[aria-pressed=true]{border-color:var(--ink)}
.head{display:flex;flex-wrap:wrap;gap:8px 16px;align-items:baseline;justify-content:space-between}
.band.even{fill:var(--even)}.band.odd{fill:var(--odd)}.band.clean{fill:var(--clean)}
.drift,.axis{font-size:11px;fill:var(--quiet)}
.series{fill:none;stroke:var(--own);stroke-width:1.4;stroke-linejoin:round;opacity:.8}
.series.own{stroke-width:2.8;opacity:1}
.series.source{stroke-width:2;stroke-dasharray:6 4;opacity:1}
.off{display:none}
.dim .series{opacity:.12}.dim .series.lit{opacity:1;stroke-width:3}
@media print{.legend,.seeds{display:none}.card{break-inside:avoid}}
${classes}`;
