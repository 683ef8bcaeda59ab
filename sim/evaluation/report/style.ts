// How the report's page looks, light and dark, on screen and on paper.
//
// Owns: the style sheet. Does not own: the page's parts (page.ts), what stands in a chart (chart.ts).

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

export const style = `
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1c2430;--quiet:#667085;--rule:#e3e6eb;--even:#eef1f6;--odd:#f8f9fb;--clean:#e8f5ec;
--good:22,163,74;--bad:220,38,38;${variables(lights)}}
@media (prefers-color-scheme:dark){:root{--page:#12151b;--card:#1a1f28;--ink:#e6e9ef;--quiet:#98a2b3;--rule:#2c3340;--even:#222936;--odd:#1d232e;--clean:#1d3026;
--good:74,222,128;--bad:248,113,113;${variables(darks)}}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px}
h2{font-size:19px;margin:0}
p{margin:4px 0;max-width:80ch}
.quiet{color:var(--quiet)}
.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:18px 20px;margin-top:18px}
.warning{border-color:rgba(var(--bad),.6)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;margin-top:10px;font-variant-numeric:tabular-nums}
th{font-weight:500;color:var(--quiet);font-size:13px;text-align:right;padding:5px 10px;border-bottom:1px solid var(--rule);white-space:nowrap}
td{text-align:right;padding:5px 10px;border-bottom:1px solid var(--rule);white-space:nowrap}
tr:last-child td{border-bottom:0}
th:first-child,td:first-child{text-align:left;padding-left:0}
tr.own td:first-child{font-weight:650}
td small{color:var(--quiet);display:block;line-height:1.2}
.swatch{display:inline-block;width:14px;height:4px;border-radius:2px;margin-right:8px;vertical-align:middle;background:var(--own)}
.bad{color:rgb(var(--bad))}.good{color:rgb(var(--good))}
.bar{display:flex;flex-wrap:wrap;gap:6px;align-items:center}
.legend{position:sticky;top:0;z-index:2;background:var(--page);padding:12px 0 10px;margin-top:12px}
button{font:inherit;font-size:13px;color:inherit;background:var(--card);border:1px solid var(--rule);border-radius:999px;padding:3px 12px;cursor:pointer}
button[aria-pressed=false]{opacity:.45;text-decoration:line-through}
.seeds button[aria-pressed=false]{text-decoration:none}
.seeds button[aria-pressed=true]{border-color:var(--ink)}
.head{display:flex;flex-wrap:wrap;gap:8px 16px;align-items:baseline;justify-content:space-between}
figure{margin:10px 0 0;position:relative}
figcaption{color:var(--quiet);font-size:13px}
svg.chart{display:block;width:100%;height:auto}
.band.even{fill:var(--even)}.band.odd{fill:var(--odd)}.band.clean{fill:var(--clean)}
.drift,.axis{font-size:11px;fill:var(--quiet)}
.grid{stroke:var(--rule);stroke-width:1}
.cross{stroke:var(--quiet);stroke-width:1;stroke-dasharray:2 3}
.series{fill:none;stroke:var(--own);stroke-width:1.4;stroke-linejoin:round;opacity:.8}
.series.own{stroke-width:2.8;opacity:1}
.series.source{stroke-width:2;stroke-dasharray:6 4;opacity:1}
.off{display:none}
.dim .series{opacity:.12}.dim .series.lit{opacity:1;stroke-width:3}
.tip{position:absolute;pointer-events:none;background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:8px 10px;font-size:12px;line-height:1.45;box-shadow:0 4px 16px rgba(0,0,0,.15);white-space:nowrap;z-index:3}
.tip b{font-weight:600}.tip span{float:right;margin-left:14px;font-variant-numeric:tabular-nums}
details{margin-top:12px}summary{cursor:pointer;color:var(--quiet)}
@media print{.legend,.seeds{display:none}.card{break-inside:avoid}}
${classes}`;
