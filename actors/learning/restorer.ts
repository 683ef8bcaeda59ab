// Orders to go back to an earlier state, as the leading updater takes them.
//
// Owns: listening while this incarnation leads, the entry's way into the update stream, the answer with the version it became.
// Does not own: what is restored (operations/log/restore.ts), its application (in its place in the stream, like any update).
//
// O1. An order is answered once: with the version that it became, or with a refusal by name. When the incarnation ends in between, nobody
//     answers; the entry is applied by whoever leads next.

import type { Learner } from "../../models/learning/learner.js";
import type { Model } from "../../models/manifest.js";
import type { ModelLog } from "../../operations/log/model-log.js";
import type { Applied } from "../../operations/log/model-writer.js";
import type { FoldableLog } from "../../operations/log/restore.js";
import { prepareRestore } from "../../operations/log/restore.js";
import type { Life } from "../../supervision/actor/behaviour.js";
import { asError } from "../../supervision/exit-reason.js";
import type { Restored, RestoreOrder } from "../../transport/messages/operator-orders.js";

export type RestoreAnswer =
  | { readonly kind: "restored"; readonly restored: Restored }
  | {
      readonly kind: "refused";
      readonly code: "bad_request" | "log_unavailable" | "internal";
      readonly message: string;
    };

export interface RestoreDeps {
  readonly log: FoldableLog;
  /** Hands every order to `obey` until the returned function is called. */
  listen(obey: (order: RestoreOrder) => Promise<RestoreAnswer>): () => void;
}

interface RestorerDeps {
  readonly model: Model;
  readonly node: string;
  readonly nodeIncarnation: number;
  readonly store: Pick<ModelLog, "enqueue">;
  readonly openLearner: () => Promise<Learner>;
  readonly restore?: RestoreDeps;
}

/** Versions that restores became, kept for answers that are still to be given. */
const rememberedMax = 64;

export class Restorer {
  readonly #deps: RestorerDeps;
  readonly #life: Pick<Life<never>, "signal" | "clock" | "incarnation">;
  readonly #versions = new Map<number, number>();
  readonly #waiting = new Map<number, (version: number) => void>();
  #orders = 0;

  constructor(deps: RestorerDeps, life: Pick<Life<never>, "signal" | "clock" | "incarnation">) {
    this.#deps = deps;
    this.#life = life;
  }

  /** Until the incarnation ends. */
  listen(): void {
    const { signal } = this.#life;
    if (signal.aborted || this.#deps.restore === undefined) return;
    const stop = this.#deps.restore.listen((order) => this.#obey(order));
    signal.addEventListener("abort", stop, { once: true });
  }

  /** Takes note of what a commit covers. */
  applied(applied: readonly Applied[]): void {
    for (const { update, version } of applied) {
      if (update.entry.kind !== "restore") continue;
      this.#versions.set(update.seq, version);
      for (const oldest of [...this.#versions.keys()].slice(0, -rememberedMax)) this.#versions.delete(oldest);
      this.#waiting.get(update.seq)?.(version);
    }
  }

  async #obey(order: RestoreOrder): Promise<RestoreAnswer> {
    const { restore: source, model, node, nodeIncarnation, openLearner } = this.#deps;
    if (source === undefined) return { kind: "refused", code: "internal", message: "no orders are taken here" };
    const { signal, clock, incarnation } = this.#life;
    try {
      const nowMs = () => clock.nowMs();
      const prepared = await prepareRestore(order, { log: source.log, model, node, nowMs, openLearner, signal });
      if (prepared.kind === "refused") return { kind: "refused", code: "bad_request", message: prepared.message };
      const { restore } = prepared;
      this.#orders += 1;
      const id = `restore.${node}.${nodeIncarnation}.${incarnation}.${this.#orders}`;
      const outcome = await this.#deps.store.enqueue({ kind: "restore", restore }, id);
      if (outcome.kind === "unavailable") return { kind: "refused", code: "log_unavailable", message: outcome.why };
      const version = await this.#versionOf(outcome.seq);
      return { kind: "restored", restored: { version, updateSeq: outcome.seq, from: restore.from } };
    } catch (thrown) {
      return { kind: "refused", code: "internal", message: asError(thrown).message };
    }
  }

  #versionOf(seq: number): Promise<number> {
    const known = this.#versions.get(seq);
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve) => {
      this.#waiting.set(seq, (version) => {
        this.#waiting.delete(seq);
        resolve(version);
      });
    });
  }
}
