// One trace: where its time went, span by span, and what was logged meanwhile.
//
// Owns: the waterfall as a table whose rows open. Does not own: the order of the spans (waterfall.ts).

import type { Trace } from "../http/answer-shapes.js";
import type { Span } from "../traces/span.js";
import { useAnswer, whenAnswered } from "./answered.js";
import { count, day, hour, span as spanOf } from "./figures.js";
import { badge, empty, facts, panel, table } from "./panel.js";
import { addressOf } from "./route.js";
import type { Scene } from "./scene.js";
import { html, useState, type View } from "./view.js";
import { type Bar, waterfallOf } from "./waterfall.js";

const everyMs = 5_000;

export function TraceView({ scene, traceId }: { readonly scene: Scene; readonly traceId: string }): View {
  const question = useAnswer<Trace>(scene, `/api/traces/${traceId}`, everyMs);
  const [open, setOpen] = useState<string | null>(null);
  return html`<div class="stack">
    <p class="crumbs"><a href=${addressOf("traces")}>All traces</a> <span aria-hidden="true">/</span> <code>${traceId}</code></p>
    ${whenAnswered("The trace", question, ({ spans, logs }) =>
      spans.length === 0
        ? empty("No span of this trace is kept", "Spans are kept for a while only; the trace may be older.")
        : [waterfallPanel(spans, open, setOpen), logsPanel(logs)],
    )}
  </div>`;
}

function waterfallPanel(spans: readonly Span[], open: string | null, setOpen: (id: string | null) => void): View {
  const { startMs, durationMs, bars } = waterfallOf(spans);
  const failed = spans.filter(({ status }) => status === "error").length;
  const hint = `${spanOf(durationMs)} from ${day(startMs)}:${hour(startMs).slice(6)}, ${count(spans.length)} spans${failed === 0 ? "" : `, ${count(failed)} failed`}`;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map(
    (at) => html`<span style=${{ left: `${100 * at}%` }}>${spanOf(at * durationMs)}</span>`,
  );
  return panel(
    { title: "Where the time went", hint, wide: true },
    html`<div class="scroll" tabindex="0" role="region" aria-label="Spans of the trace"><div class="waterfall">
      <div class="axis" aria-hidden="true">${ticks}</div>
      <ol>${bars.map((bar) => spanRow(bar, open === bar.span.spanId, setOpen))}</ol>
    </div></div>`,
  );
}

function spanRow({ span, depth, from, length }: Bar, isOpen: boolean, setOpen: (id: string | null) => void): View {
  const duration = spanOf(span.endMs - span.startMs);
  const isLate = from + length > 0.8;
  return html`<li key=${span.spanId} class=${span.status === "error" ? "span failed-span" : "span"}>
    <button type="button" class="span-row" aria-expanded=${isOpen} onClick=${() => setOpen(isOpen ? null : span.spanId)}>
      <span class="span-name" style=${{ paddingLeft: `${depth * 14}px` }}>${depth === 0 ? span.name : shortName(span.name)}${span.status === "error" ? html` <span class="text-bad">error</span>` : null}</span>
      <span class="span-track"><span class="span-bar kind-${span.name.split(".")[0]} ${depth === 0 ? "root" : ""}" style=${{ left: `${100 * from}%`, width: `${100 * length}%` }}></span><span class=${isLate ? "span-time before" : "span-time"} style=${isLate ? { right: `${100 * (1 - from)}%` } : { left: `${100 * (from + length)}%` }}>${duration}</span></span>
    </button>
    ${
      isOpen
        ? html`<div class="span-facts">${facts([
            ["Where", `${span.node}, ${span.actor}, incarnation ${span.incarnation}`],
            ["Span", html`${span.name} <code>${span.spanId}</code>`],
            ...Object.entries(span.attributes).map(
              ([name, value]) => [name, html`<code>${String(value)}</code>`] as const,
            ),
          ])}</div>`
        : null
    }
  </li>`;
}

/** A phase stands below its job: `infer.model` is `model` there. */
function shortName(name: string): string {
  return name.slice(name.indexOf(".") + 1);
}

type LogLine = Trace["logs"][number];

function logsPanel(logs: readonly LogLine[]): View {
  const columns = [{ title: "When" }, { title: "Level" }, { title: "Where" }, { title: "Message" }];
  return panel(
    { title: "Log lines", hint: "Those that name this trace", wide: true },
    logs.length === 0
      ? empty("Nothing was logged", "Nothing happened that anybody had to be told of.")
      : table("Log lines", columns, logs.map(logRow)),
  );
}

function logRow({ atMs, level, node, actor, message, fields }: LogLine): View {
  const look = level === "error" || level === "fatal" ? "bad" : level === "warn" ? "warn" : "quiet";
  const rest = Object.entries(fields);
  return html`<tr>
    <td>${hour(atMs)}</td>
    <td>${badge(look, level)}</td>
    <td class="quiet">${[node, actor].filter((part) => part !== null).join(", ")}</td>
    <td class="cause">${message}${rest.map(([name, value]) => html` <code class="quiet">${name}=${String(value)}</code>`)}</td>
  </tr>`;
}
