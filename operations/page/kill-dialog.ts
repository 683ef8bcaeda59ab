// Injecting one fault: what it will do, which one, and then the receipt.
//
// Owns: the question and the reading of the receipt. Does not own: the fault, nor the guard of a pool's minimum (the cluster refuses).
//
// D1. Nothing is struck without a second word; the button says what will happen.
// D2. What the receipt does not know is said to be unknown, not zero.

import type { ChaosReceiptBody } from "../http/answer-shapes.js";
import type { Answer } from "./ask.js";
import { Dialog } from "./dialog.js";
import { count, span, unknown } from "./figures.js";
import { facts } from "./panel.js";
import type { Scene } from "./scene.js";
import type { KillTarget } from "./tree-rows.js";
import { typedIn } from "./typed.js";
import { h, html, useState, type View } from "./view.js";

interface Mode {
  readonly mode: string;
  readonly what: string;
  readonly lasts?: boolean;
}

const actorModes: readonly Mode[] = [
  { mode: "kill", what: "It ends now; its messages are delivered again to the next incarnation" },
  { mode: "crash", what: "It throws, as a fault in its code would" },
];
const impairments: readonly Mode[] = [
  { mode: "hang", what: "It stops taking messages for a while", lasts: true },
  { mode: "slow", what: "It takes each message late for a while", lasts: true },
];
const processKill: Mode = { mode: "sigkill", what: "The process ends at once, as by kill -9" };
const modesOf: Readonly<Record<KillTarget["kind"], readonly Mode[]>> = {
  actor: [...actorModes, ...impairments],
  supervisor: actorModes,
  node: [processKill, { mode: "sigstop", what: "The process freezes for a while", lasts: true }],
  broker: [processKill],
};

const durations = ["1", "2", "5", "10", "30"] as const;

type Course =
  | { readonly kind: "asking" }
  | { readonly kind: "striking"; readonly mode: string }
  | { readonly kind: "over"; readonly answer: Answer<ChaosReceiptBody> };

export interface KillDialogProps {
  readonly scene: Scene;
  readonly target: KillTarget;
  close(): void;
}

export function KillDialog({ scene, target, close }: KillDialogProps): View {
  const modes = modesOf[target.kind];
  const [chosen, choose] = useState(modes[0]?.mode ?? "kill");
  const [seconds, setSeconds] = useState<string>("2");
  const [course, setCourse] = useState<Course>({ kind: "asking" });
  const lasts = modes.find(({ mode }) => mode === chosen)?.lasts === true;
  const strike = async (event: Event): Promise<void> => {
    event.preventDefault();
    setCourse({ kind: "striking", mode: chosen });
    const answer = await scene.ask.post<ChaosReceiptBody>("/api/chaos", {
      node: target.node,
      target: target.target,
      mode: chosen,
      ...(lasts ? { forMs: 1_000 * Number(seconds) } : {}),
    });
    setCourse({ kind: "over", answer });
    if (answer.kind === "answer") scene.say(`${target.name} ${repaired(answer.value)}`);
  };
  const content =
    course.kind === "asking"
      ? html`<form onSubmit=${strike}>
          <p>${target.kind === "supervisor" ? "All actors below it end with it." : "Whatever depends on it restarts with it."} Now incarnation ${target.generation}.</p>
          ${servesPage(scene, target) ? html`<p class="note tone-info">This page may be served from there: it will lose its connection for a moment, and the receipt with it.</p>` : null}
          <fieldset><legend>How</legend>${modes.map((mode) => modeChoice(mode, chosen, choose))}</fieldset>
          ${lasts ? html`<p><label>For <select value=${seconds} onChange=${(change: Event) => setSeconds(typedIn(change))}>${durations.map((each) => html`<option value=${each}>${each} s</option>`)}</select></label></p>` : null}
          <div class="buttons"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="danger">${lasts ? `Make it ${chosen === "sigstop" ? "freeze" : chosen}` : "Kill it"}</button></div>
        </form>`
      : course.kind === "striking"
        ? html`<p class="busy" role="status">Struck with ${course.mode}; waiting until it works again …</p>`
        : outcome(course.answer, close);
  return h(Dialog, {
    title: `${course.kind === "over" ? "Receipt for" : "Kill"} ${target.name}${course.kind === "over" ? "" : "?"}`,
    content,
    close,
  });
}

/** The HTTP interface lives on an operations node. */
function servesPage({ live }: Scene, { kind, target, node }: KillTarget): boolean {
  if (kind === "broker") return true;
  const name = kind === "node" ? target : node;
  const isOperations =
    live.metrics?.nodes.some((each) => each.node === name && each.roles.includes("operations")) === true;
  return isOperations && (kind === "node" || kind === "supervisor" || target.endsWith("web"));
}

function modeChoice({ mode, what }: Mode, chosen: string, choose: (mode: string) => void): View {
  return html`<label class="choice"><input type="radio" name="mode" value=${mode} checked=${mode === chosen} onChange=${() => choose(mode)} /><span><b>${mode}</b><br /><span class="quiet">${what}</span></span></label>`;
}

function outcome(answer: Answer<ChaosReceiptBody>, close: () => void): View {
  const done = html`<div class="buttons"><button type="button" class="primary" autofocus onClick=${close}>Close</button></div>`;
  if (answer.kind !== "answer")
    return html`<div role="alert"><p class="note tone-bad"><b>${answer.kind === "refused" ? "Refused." : "Not known whether it was done."}</b> ${answer.message}</p></div>${done}`;
  const receipt = answer.value;
  return html`<div role="status">
      <p class="receipt-line">Incarnation <b>${receipt.generationBefore}</b> <span aria-hidden="true">→</span><span class="unseen">became</span> <b data-next-incarnation=${receipt.generationAfter}>${receipt.generationAfter}</b> <span class=${receipt.repairMs === null ? "text-bad" : "text-good"}>${repaired(receipt)}</span></p>
      ${facts([
        ["Noticed after", span(receipt.detectMs)],
        ["Works again after", span(receipt.repairMs)],
        ["In flight then", messages(receipt.inFlight)],
        ["Delivered again", messages(receipt.redelivered)],
        ["Refused meanwhile", messages(receipt.refused)],
        [
          "Lost",
          html`<span class=${receipt.lost === null ? "" : receipt.lost > 0 ? "text-bad" : "text-good"}>${messages(receipt.lost)}</span>`,
        ],
        ["Leases cleaned up", count(receipt.leasesCleaned)],
        ["Cause", receipt.cause ?? unknown],
      ])}
    </div>${done}`;
}

function repaired({ repairMs }: ChaosReceiptBody): string {
  return repairMs === null ? "does not work again yet" : `works again after ${span(repairMs)}`;
}

function messages(value: number | null): string {
  return value === null ? "cannot be seen from there" : `${count(value)} ${value === 1 ? "message" : "messages"}`;
}
