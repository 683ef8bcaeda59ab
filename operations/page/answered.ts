// A question that a view keeps asking while it is open.
//
// Owns: when it is asked again, and that an older answer stays when a newer one fails to come. Does not own: the asking (ask.ts).

import { failed, loading } from "./panel.js";
import type { Scene } from "./scene.js";
import { html, useEffect, useState, type View } from "./view.js";

export type Answered<T> =
  | { readonly kind: "asked" }
  /** `failure`: what kept a newer one from coming. */
  | { readonly kind: "answered"; readonly value: T; readonly failure: string | null }
  | { readonly kind: "failed"; readonly why: string };

export interface Question<T> {
  readonly state: Answered<T>;
  /** Asks now. */
  again(): void;
}

/** `path` may change: what was answered for another one is forgotten. */
export function useAnswer<T>({ ask, clock }: Scene, path: string, everyMs: number): Question<T> {
  const [state, setState] = useState<Answered<T> & { readonly of?: string }>({ kind: "asked" });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const over = new AbortController();
    const keepAsking = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const answer = await ask.get<T>(path);
        if (over.signal.aborted) return;
        setState((before) => {
          if (answer.kind === "answer") return { kind: "answered", value: answer.value, failure: null, of: path };
          const isSame = before.kind === "answered" && before.of === path;
          return isSame ? { ...before, failure: answer.message } : { kind: "failed", why: answer.message, of: path };
        });
        await clock.delay(everyMs, over.signal);
      }
    };
    void keepAsking();
    return () => over.abort();
  }, [path, everyMs, turn]);
  const known: Answered<T> = state.of === path ? state : { kind: "asked" };
  return { state: known, again: () => setTurn(turn + 1) };
}

/** The answer, or what stands in its place; a note above it when it is older than it should be. */
export function whenAnswered<T>(what: string, { state, again }: Question<T>, show: (value: T) => View): View {
  switch (state.kind) {
    case "asked":
      return loading(what);
    case "failed":
      return failed(what, state.why, again);
    case "answered":
      return html`${state.failure === null ? null : html`<p class="note tone-warn" role="status">Not the newest: ${state.failure}</p>`}${show(state.value)}`;
    default:
      return state satisfies never;
  }
}
