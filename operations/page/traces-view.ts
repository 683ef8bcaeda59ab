// The newest traces: what took long, what failed.
//
// Owns: the list and its order. Does not own: one trace (trace-view.ts).

import type { Traces } from "../http/answer-shapes.js";
import { useAnswer, whenAnswered } from "./answered.js";
import { age, count, day, span } from "./figures.js";
import { badge, bar, empty, panel, table } from "./panel.js";
import { traceAddress } from "./route.js";
import type { Scene } from "./scene.js";
import { html, useState, type View } from "./view.js";

type Line = Traces["traces"][number];
type Order = "newest" | "slowest" | "failed";

const everyMs = 3_000;
const orders: readonly (readonly [Order, string])[] = [
  ["newest", "Newest"],
  ["slowest", "Slowest"],
  ["failed", "Failed only"],
];

export function TracesView({ scene }: { readonly scene: Scene }): View {
  const [order, setOrder] = useState<Order>("newest");
  const question = useAnswer<Traces>(scene, "/api/traces?limit=100", everyMs);
  const choice = html`<div class="segments" role="group" aria-label="Order">${orders.map(([name, word]) => html`<button type="button" aria-pressed=${order === name} onClick=${() => setOrder(name)}>${word}</button>`)}</div>`;
  return whenAnswered("The traces", question, ({ traces }) =>
    panel(
      { title: "Traces", hint: "One per request and what it led to", wide: true, aside: choice },
      list(sorted(traces, order), traces.length, scene.nowMs),
    ),
  );
}

function sorted(traces: readonly Line[], order: Order): readonly Line[] {
  switch (order) {
    case "newest":
      return [...traces].sort((a, b) => b.startMs - a.startMs);
    case "slowest":
      return [...traces].sort((a, b) => b.durationMs - a.durationMs);
    case "failed":
      return traces.filter(({ status }) => status === "error").sort((a, b) => b.startMs - a.startMs);
    default:
      return order satisfies never;
  }
}

function list(traces: readonly Line[], all: number, nowMs: number): View {
  if (traces.length === 0)
    return all === 0
      ? empty("No trace yet", "A trace begins with the first request.")
      : empty("None failed", `${count(all)} traces are known.`);
  const longestMs = Math.max(...traces.map(({ durationMs }) => durationMs), 0.001);
  const columns = [
    { title: "Trace" },
    { title: "What" },
    { title: "Status" },
    { title: "Duration" },
    { title: "Spans", align: "right" as const },
    { title: "Began" },
  ];
  const rows = traces.map(
    (trace) => html`<tr key=${trace.traceId}>
      <th scope="row"><a href=${traceAddress(trace.traceId)}><code>${trace.traceId.slice(0, 12)}…</code></a></th>
      <td>${trace.name}</td>
      <td>${trace.status === "ok" ? badge("good", "ok") : badge("bad", "error")}</td>
      <td>${bar(trace.durationMs / longestMs, span(trace.durationMs), trace.status === "ok" ? "info" : "bad")}</td>
      <td class="right">${count(trace.spans)}</td>
      <td title=${day(trace.startMs)}>${age(nowMs - trace.startMs)} ago</td>
    </tr>`,
  );
  return table("Traces", columns, rows);
}
