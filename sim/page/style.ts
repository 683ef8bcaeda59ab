// How a report's page looks, light and dark: what all of them have in common.
//
// Owns: colours by meaning, cards, tables, what stands under a pointer. Does not own: what one report has alone.

export const baseStyle = `
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1c2430;--quiet:#667085;--rule:#e3e6eb;--good:22,163,74;--bad:220,38,38}
@media (prefers-color-scheme:dark){:root{--page:#12151b;--card:#1a1f28;--ink:#e6e9ef;--quiet:#98a2b3;--rule:#2c3340;--good:74,222,128;--bad:248,113,113}}
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
td small{color:var(--quiet);display:block;line-height:1.2}
.bad{color:rgb(var(--bad))}.good{color:rgb(var(--good))}
figure{margin:10px 0 0;position:relative}
figcaption{color:var(--quiet);font-size:13px}
svg.chart{display:block;width:100%;height:auto}
.grid{stroke:var(--rule);stroke-width:1}
.cross{stroke:var(--quiet);stroke-width:1;stroke-dasharray:2 3}
.tip{position:absolute;pointer-events:none;background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:8px 10px;font-size:12px;line-height:1.45;box-shadow:0 4px 16px rgba(0,0,0,.15);white-space:nowrap;z-index:3}
.tip b{font-weight:600}.tip span{float:right;margin-left:14px;font-variant-numeric:tabular-nums}
details{margin-top:12px}summary{cursor:pointer;color:var(--quiet)}`;
