// The child's side of process-root.ts, over the IPC channel between them: words to the parent, and the notice that it is gone.
//
// Owns: the words, the beat, noticing that the parent is gone, the wait of a spare.
// Does not own: what the child does before it exits, what the parent makes of its words (os-process.ts).
//
// The channel closes when the parent dies, also by SIGKILL; no polling of parent ids, which are reused.
// A process that is stopped (SIGSTOP) notices once it continues.
//
// W1. The beat comes from the main thread, so that a hung thread falls silent; and over IPC, so that a broker that is gone is never
//     taken for a hung node. It begins with the word "ready" or "warm": how long a start may take has a bound of its own.

import { pulse } from "../clock.js";
import type { SpentBudgets } from "../tree/restart-intensity.js";

/** What a child says to its parent. */
export type ChildWord =
  /** It serves. */
  | { readonly kind: "ready" }
  /** A spare has loaded all that does not need its identity. */
  | { readonly kind: "warm" }
  | { readonly kind: "beat" }
  /** It gives up: its next incarnation answers for these restarts. */
  | { readonly kind: "spent"; readonly spent: SpentBudgets };

/** What a spare waits for: from now on it is this generation of its node. */
export interface Activation {
  readonly kind: "activate";
  readonly generation: number;
  readonly spent: SpentBudgets;
}

/** Between two beats of a child. */
export const beatMs = 1_000;

/** Calls `orphaned` once when the parent is gone. False when nobody started this process over IPC: nobody to watch. */
export function watchParent(orphaned: () => void): boolean {
  if (process.send === undefined) return false;
  process.once("disconnect", orphaned);
  if (!process.connected) orphaned();
  return true;
}

/** True when there is a parent and it was told. */
export function reportReady(): boolean {
  return reportAndBeat({ kind: "ready" });
}

/** A spare says that it is warm, and waits for its activation; undefined when `ended` comes first, or there is no parent. */
export async function awaitActivation(ended: AbortSignal): Promise<Activation | undefined> {
  if (!reportAndBeat({ kind: "warm" })) return undefined;
  return new Promise((resolve) => {
    const settle = (activation: Activation | undefined): void => {
      process.off("message", listen);
      ended.removeEventListener("abort", end);
      resolve(activation);
    };
    const listen = (message: unknown): void => {
      if (isActivation(message)) settle(message);
    };
    const end = (): void => settle(undefined);
    process.on("message", listen);
    ended.addEventListener("abort", end);
    if (ended.aborted) end();
  });
}

/** Resolves when the word has left, or there is nobody to hear it. */
export function reportSpent(spent: SpentBudgets): Promise<void> {
  return new Promise((resolve) => {
    if (!say({ kind: "spent", spent }, resolve)) resolve();
  });
}

let isBeating = false;

function reportAndBeat(word: ChildWord): boolean {
  if (!say(word)) return false;
  if (!isBeating) pulse(beatMs, () => void say({ kind: "beat" }));
  isBeating = true;
  return true;
}

function say(word: ChildWord, said: () => void = () => undefined): boolean {
  if (process.send === undefined || !process.connected) return false;
  // A parent that is gone is noticed by `watchParent`; its closed channel is no second failure.
  process.send(word, undefined, undefined, () => said());
  return true;
}

/** Undefined for anything that is not one of our words: it is meant for the owner of the child. */
export function wordIn(message: unknown): ChildWord | undefined {
  if (typeof message !== "object" || message === null || !("kind" in message)) return undefined;
  const { kind } = message;
  if (kind === "ready" || kind === "warm" || kind === "beat") return { kind };
  if (kind !== "spent" || !("spent" in message)) return undefined;
  return { kind, spent: spentIn(message.spent) };
}

function isActivation(message: unknown): message is Activation {
  return typeof message === "object" && message !== null && "kind" in message && message.kind === "activate";
}

/** What is not a list of ages counts as no restarts. */
export function spentIn(value: unknown): SpentBudgets {
  if (typeof value !== "object" || value === null) return {};
  const entries = Object.entries(value).filter((entry): entry is [string, number[]] => isAges(entry[1]));
  return Object.fromEntries(entries);
}

function isAges(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((each) => typeof each === "number" && Number.isFinite(each));
}
