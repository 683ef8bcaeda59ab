// Whatever waits, and what was given up: queues, logs, leases, dead letters.
//
// Owns: how it is laid out, the order to run a letter again. Does not own: what the order does (operations/dead-letters/dead-letter-orders.ts).

import type { LetterReceipt, Letters } from "../http/answer-shapes.js";
import type { ClusterMetrics, QueueFigures } from "../metrics/cluster-metrics.js";
import { useAnswer, whenAnswered } from "./answered.js";
import { Dialog } from "./dialog.js";
import { age, bytes, count, day, span } from "./figures.js";
import { queueKey } from "./live.js";
import { badge, bar, empty, facts, loading, panel, shortId, table, trend } from "./panel.js";
import { traceAddress } from "./route.js";
import type { Scene } from "./scene.js";
import { spark } from "./spark.js";
import { h, html, useState, type View } from "./view.js";

interface Queues {
  readonly queues: readonly QueueFigures[];
  readonly deadLetters: Letters;
}
type Letter = Letters["entries"][number];

const everyMs = 4_000;

export function QueuesView({ scene }: { readonly scene: Scene }): View {
  const question = useAnswer<Queues>(scene, "/api/queues", everyMs);
  const { metrics } = scene.live;
  return html`<div class="stack">
    ${metrics === null ? loading("The queues") : [queuesPanel(metrics.queues, scene), html`<div class="two">${logsPanel(metrics)}${holdingsPanel(metrics)}</div>`]}
    ${whenAnswered("The dead letters", question, ({ deadLetters }) => h(LettersPanel, { scene, letters: deadLetters, again: question.again }))}
  </div>`;
}

function queuesPanel(queues: readonly QueueFigures[], { live }: Scene): View {
  const right = (title: string) => ({ title, align: "right" as const });
  const columns = [
    { title: "Queue" },
    right("Depth"),
    { title: "Since this page is open" },
    { title: "Trend" },
    right("Oldest"),
    { title: "Where" },
  ];
  const rows = queues.map(
    (queue) => html`<tr key=${queueKey(queue)}>
      <th scope="row">${queue.name}</th>
      <td class="right">${count(queue.depth)}</td>
      <td class="spark-cell">${spark({ values: (live.depths[queueKey(queue)] ?? []).map(({ depth }) => depth), colour: queue.trend === "increasing" ? "warn" : "line3" })}</td>
      <td>${trend(queue.trend)}</td>
      <td class="right">${queue.oldestAgeMs === null ? html`<span class="quiet">none waits</span>` : span(queue.oldestAgeMs)}</td>
      <td><code>${queue.where}</code></td>
    </tr>`,
  );
  return panel(
    { title: "Queues", hint: "What waits to be worked on", wide: true },
    queues.length === 0 ? empty("No queue is known yet") : table("Queues", columns, rows),
  );
}

function logsPanel({ logs }: ClusterMetrics): View {
  const columns = [{ title: "Stream" }, { title: "Messages", align: "right" as const }, { title: "Size" }];
  const rows = logs.map(({ stream, messages, bytes: size, maxBytes }) => {
    const filled = maxBytes === null ? 0 : size / maxBytes;
    const words = maxBytes === null ? bytes(size) : `${bytes(size)} of ${bytes(maxBytes)}`;
    return html`<tr key=${stream}>
      <th scope="row"><code>${stream}</code></th>
      <td class="right">${count(messages)}</td>
      <td>${maxBytes === null ? words : bar(filled, words, filled > 0.9 ? "bad" : filled > 0.7 ? "warn" : "info")}</td>
    </tr>`;
  });
  return panel(
    { title: "Logs", hint: "JetStream: what survives a crash" },
    logs.length === 0 ? empty("No log yet") : table("Logs", columns, rows),
  );
}

function holdingsPanel({ leases, cleanups, restarts }: ClusterMetrics): View {
  const overdue = cleanups.overdue > 0;
  return panel(
    {
      title: "Leases and cleanups",
      hint: "What the dead have left behind",
      ...(overdue ? { tone: "bad" as const } : {}),
    },
    facts([
      [
        "Leases held",
        html`${count(leases.held)} <span class="quiet">${leases.oldestAgeMs === null ? "" : `the oldest for ${age(leases.oldestAgeMs)}`}</span>`,
      ],
      ["Reclaimed", count(leases.reclaimed)],
      ["Deaths", `${count(cleanups.deaths)}, ${count(cleanups.confirmed)} cleanups confirmed`],
      ["Overdue", overdue ? badge("bad", `${count(cleanups.overdue)} overdue`) : badge("good", "none")],
      ["Restarts", `${count(restarts.nodes)} of nodes, ${count(restarts.actors)} of actors`],
    ]),
  );
}

interface LettersProps {
  readonly scene: Scene;
  readonly letters: Letters;
  again(): void;
}

function LettersPanel({ scene, letters, again }: LettersProps): View {
  const [asked, setAsked] = useState<Letter | null>(null);
  const { entries, cursor } = letters;
  const open = entries.filter(({ investigated, requeued_at }) => !investigated && requeued_at === null).length;
  const right = (title: string) => ({ title, align: "right" as const });
  const columns = [
    { title: "Id" },
    { title: "Died" },
    { title: "Where" },
    { title: "Cause" },
    right("Tries"),
    { title: "Standing" },
    { title: "Job" },
    { title: "Trace" },
    ...(scene.canOrder ? [{ title: "Order", silent: true }] : []),
  ];
  return panel(
    {
      title: "Dead letters",
      hint: "Jobs the cluster gave up on, newest first",
      wide: true,
      aside: open === 0 ? badge("good", "none is open") : badge("warn", `${count(open)} open`),
    },
    entries.length === 0
      ? empty("No dead letters", "A job comes here when every try of it crashed an actor or its process.")
      : table(
          "Dead letters",
          columns,
          entries.map((letter) => letterRow(letter, scene, setAsked)),
        ),
    cursor === null ? null : html`<p class="quiet">Older ones: <code>driftmend dlq ls --cursor ${cursor}</code></p>`,
    asked === null ? null : h(RequeueDialog, { scene, letter: asked, close: () => setAsked(null), done: again }),
  );
}

function letterRow(letter: Letter, { nowMs, canOrder }: Scene, ask: (letter: Letter) => void): View {
  return html`<tr key=${letter.id}>
    <th scope="row">${letter.id}</th>
    <td title=${day(letter.atMs)}>${age(nowMs - letter.atMs)} ago</td>
    <td>${letter.model}/${letter.phase}<br /><span class="quiet">${letter.node}</span></td>
    <td class="cause">${letter.cause}<br /><span class="quiet">${letter.state}</span></td>
    <td class="right">${count(letter.attempts)}</td>
    <td>${standing(letter, nowMs)}</td>
    <td>${shortId(letter.jobId)}</td>
    <td><a href=${traceAddress(letter.traceId)}><code>${letter.traceId.slice(0, 8)}</code><span class="unseen"> trace</span></a></td>
    ${canOrder ? html`<td class="right">${letter.requeued_at === null ? html`<button type="button" class="small" aria-label=${`Requeue dead letter ${letter.id}`} onClick=${() => ask(letter)}>Requeue</button>` : null}</td>` : null}
  </tr>`;
}

function standing({ investigated, requeued_at, resolution }: Letter, nowMs: number): View {
  if (requeued_at !== null) return badge("info", `requeued ${age(nowMs - requeued_at)} ago`);
  if (investigated) return html`<span title=${resolution ?? ""}>${badge("good", "resolved")}</span>`;
  return badge("warn", "open");
}

interface RequeueProps {
  readonly scene: Scene;
  readonly letter: Letter;
  close(): void;
  done(): void;
}

type RequeueCourse =
  | { readonly kind: "asking" }
  | { readonly kind: "ordered" }
  | { readonly kind: "refused"; readonly message: string };

function RequeueDialog({ scene, letter, close, done }: RequeueProps): View {
  const [course, setCourse] = useState<RequeueCourse>({ kind: "asking" });
  const order = async (event: Event): Promise<void> => {
    event.preventDefault();
    setCourse({ kind: "ordered" });
    const answer = await scene.ask.post<LetterReceipt>(`/api/dlq/${letter.id}/requeue`, {});
    if (answer.kind !== "answer") {
      setCourse({ kind: "refused", message: answer.message });
      return;
    }
    scene.say(`Dead letter ${letter.id} runs again`);
    done();
    close();
  };
  const content = html`<form onSubmit=${order}>
    <p>It runs once more, under its own id; an answer that it already has is not given twice.</p>
    ${facts([
      ["Job", html`<code>${letter.jobId}</code>`],
      ["Died in", `${letter.model}/${letter.phase} on ${letter.node}`],
      ["Cause", letter.cause],
    ])}
    ${course.kind === "refused" ? html`<p class="note tone-bad" role="alert">${course.message}</p>` : null}
    <div class="buttons"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary" disabled=${course.kind === "ordered"}>Requeue</button></div>
  </form>`;
  return h(Dialog, { title: `Requeue dead letter ${letter.id}?`, content, close });
}
