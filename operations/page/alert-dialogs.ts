// The two orders about an alert: somebody knows of it, and nobody shall be told of it for a while.
//
// Owns: the questions. Does not own: what they change (actors/operations/alerter.ts). The new list comes with the answer and with the next event.

import type { AlertList, ListedAlert } from "../alerts/alert-list.js";
import type { Answer } from "./ask.js";
import { Dialog } from "./dialog.js";
import type { Scene } from "./scene.js";
import { typedIn } from "./typed.js";
import { h, html, useState, type View } from "./view.js";

export interface AlertDialogProps {
  readonly scene: Scene;
  readonly alert: ListedAlert;
  close(): void;
}

const noteMax = 500;

export function AcknowledgeDialog({ scene, alert, close }: AlertDialogProps): View {
  const [note, setNote] = useState("");
  const order = useOrder(
    () => scene.ask.post<AlertList>("/api/alerts/ack", { fingerprint: alert.fingerprint, note }),
    () => {
      scene.say(`${alert.name} is acknowledged`);
      close();
    },
  );
  const content = html`<form onSubmit=${order.give}>
    <p>It stays in the list until it ends, and says that somebody knows.</p>
    ${noteField(note, setNote)}
    ${order.failure}
    ${buttons("Acknowledge", order.isUnderWay, close)}
  </form>`;
  return h(Dialog, { title: `Acknowledge ${alert.name}?`, content, close });
}

const spans = ["15m", "1h", "4h", "24h"] as const;

export function SilenceDialog({ scene, alert, close }: AlertDialogProps): View {
  const [note, setNote] = useState("");
  const [forSpan, setForSpan] = useState<string>("1h");
  const [isNarrow, setIsNarrow] = useState(true);
  const matches = isNarrow ? `${alert.name}:${alert.about}` : alert.name;
  const order = useOrder(
    () => scene.ask.post<AlertList>("/api/alerts/silence", { matches, for: forSpan, note }),
    () => {
      scene.say(`${matches} is silenced for ${forSpan}`);
      close();
    },
  );
  const content = html`<form onSubmit=${order.give}>
    <p>It goes on firing here, and nobody is told of it elsewhere.</p>
    <fieldset><legend>What</legend>
      <label class="choice"><input type="radio" name="matches" checked=${isNarrow} onChange=${() => setIsNarrow(true)} /><span>This one <span class="quiet">${alert.name} of ${alert.about}</span></span></label>
      <label class="choice"><input type="radio" name="matches" checked=${!isNarrow} onChange=${() => setIsNarrow(false)} /><span>Every ${alert.name} <span class="quiet">whatever it is about</span></span></label>
    </fieldset>
    <p><label>For <select value=${forSpan} onChange=${(change: Event) => setForSpan(typedIn(change))}>${spans.map((each) => html`<option value=${each}>${each}</option>`)}</select></label></p>
    ${noteField(note, setNote)}
    ${order.failure}
    ${buttons("Silence", order.isUnderWay, close)}
  </form>`;
  return h(Dialog, { title: `Silence ${alert.name}?`, content, close });
}

function noteField(note: string, setNote: (note: string) => void): View {
  return html`<p><label class="stacked">Note <input type="text" maxlength=${noteMax} value=${note} placeholder="What is known, who looks at it" onInput=${(change: Event) => setNote(typedIn(change))} /></label></p>`;
}

function buttons(word: string, isUnderWay: boolean, close: () => void): View {
  return html`<div class="buttons"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary" disabled=${isUnderWay}>${word}</button></div>`;
}

/** One order: given once, its refusal shown, `done` when it was taken. */
function useOrder<T>(give: () => Promise<Answer<T>>, done: () => void) {
  const [isUnderWay, setIsUnderWay] = useState(false);
  const [refusal, setRefusal] = useState<string | null>(null);
  return {
    isUnderWay,
    failure: refusal === null ? null : html`<p class="note tone-bad" role="alert">${refusal}</p>`,
    give: async (event: Event): Promise<void> => {
      event.preventDefault();
      setIsUnderWay(true);
      const answer = await give();
      setIsUnderWay(false);
      if (answer.kind === "answer") done();
      else setRefusal(answer.message);
    },
  };
}
