// How the stability report's page looks, on a wide screen, on a phone, and on paper.
//
// Owns: what stands in this style sheet alone. Does not own: what all reports share (sim/page/style.ts), the page's parts (page.ts).

import { baseStyle } from "../../page/style.js";

export const style = `${baseStyle}
:root{--one:#2563eb;--two:#d97706;--three:#7c3aed;--crash:#dc2626}
@media (prefers-color-scheme:dark){:root{--one:#60a5fa;--two:#fbbf24;--three:#a78bfa;--crash:#f87171}}
h3{font-size:16px;margin:18px 0 0}
.verdict{display:inline-block;font-weight:650;border-radius:999px;padding:3px 14px;border:1px solid currentColor}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:4px 32px}
.plots>*{min-width:0}.plots .wide{grid-column:1/-1}
.plot{margin-top:20px}
.frame{position:relative;margin:8px 0 0 58px}
.frame svg{display:block;width:100%;height:150px;overflow:visible}
.wide .frame svg{height:220px}
.y{position:absolute;right:calc(100% + 8px);transform:translateY(-50%);font-size:11px;line-height:1;color:var(--quiet);white-space:nowrap;font-variant-numeric:tabular-nums}
.x{position:relative;height:20px;margin-left:58px;font-size:11px;color:var(--quiet)}
.x span{position:absolute;top:6px;white-space:nowrap}
.x span+span{transform:translateX(-50%)}
.line,.grid,.mark,.cross{vector-effect:non-scaling-stroke}
.line{fill:none;stroke:var(--one);stroke-width:1.6;stroke-linejoin:round}
.line.second{stroke:var(--two)}.line.third{stroke:var(--three)}
.line.fit{stroke:var(--crash);stroke-dasharray:6 4}
.mark{stroke:var(--crash);stroke-width:1.2;stroke-dasharray:4 3}
.named{position:absolute;padding:0 4px;font-size:11px;color:var(--crash);white-space:nowrap;pointer-events:none}
.key{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:12px;color:var(--quiet)}
.key i{display:inline-block;width:16px;height:0;border-top:3px solid var(--one);margin-right:6px;vertical-align:middle}
.key i.second{border-color:var(--two)}.key i.third{border-color:var(--three)}.key i.fit{border-color:var(--crash);border-top-style:dashed}
.key i.marked{width:0;height:12px;border-top:0;border-left:2px dashed var(--crash)}
.tip{top:4px;max-width:100%}
.bars{display:flex;align-items:flex-end;gap:3px;height:120px;margin:12px 0 0}
.bars div{flex:1;min-width:4px;background:var(--one);border-radius:2px 2px 0 0}
.bars+.x{margin-left:0}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px 20px;margin:12px 0 0}
.facts dt{color:var(--quiet);font-size:13px}.facts dd{margin:0;font-size:18px;font-variant-numeric:tabular-nums}
.facts dd small{display:block;font-size:12px;color:var(--quiet)}
td.words{white-space:normal;text-align:left;min-width:180px}
th.words{text-align:left}
code{display:block;overflow-x:auto;white-space:pre;background:var(--page);border:1px solid var(--rule);border-radius:6px;padding:8px 10px;font-size:13px;margin-top:8px}
@media (max-width:640px){main{padding:18px 10px 40px}.card{padding:14px 12px}h1{font-size:22px}.frame,.x{margin-left:46px}
.checks th{display:none}.checks td{display:block;border:0;padding:2px 0;white-space:normal;text-align:left}.checks td:first-child{padding-top:12px}.checks tr{border-bottom:1px solid var(--rule);display:block;padding-bottom:10px}}
@media print{.card{break-inside:avoid}}
`;
