// The field for the operator's token.
//
// Owns: typing it in and taking it back. Does not own: where it is kept (token.ts), whether it is right (the server).

import { typedIn } from "./typed.js";
import { html, useState, type View } from "./view.js";

export interface TokenFieldProps {
  readonly hasToken: boolean;
  keep(token: string | null): void;
}

export function TokenField({ hasToken, keep }: TokenFieldProps): View {
  const [typed, setTyped] = useState("");
  if (hasToken)
    return html`<div class="token"><span class="badge tone-info"><i class="dot" aria-hidden="true"></i>operator<span class="unseen"> token is set</span></span><button type="button" class="small" id="operator" onClick=${() => keep(null)}>Forget</button></div>`;
  const submit = (event: Event): void => {
    event.preventDefault();
    if (typed.trim() !== "") keep(typed.trim());
    setTyped("");
  };
  return html`<form class="token" onSubmit=${submit}>
    <label class="unseen" for="operator">Operator token</label>
    <input id="operator" type="password" autocomplete="off" spellcheck=${false} placeholder="Operator token" value=${typed} onInput=${(change: Event) => setTyped(typedIn(change))} />
    <button type="submit" class="small">Use</button>
  </form>`;
}
