// The rows of a request, put to the cluster: each a request of its own, as any client sends it over NATS.
//
// Owns: how many are under way at once, what of a batch is told when a row is not answered. Does not own: tries and their pauses
// (transport/client.ts), the connection (client-door.ts).
//
// A1. All rows are answered, or the first that is not ends the request and no further row is asked for.
// A2. At most `rowsAtOnce` rows of a request and `modelAtOnce` of all requests for one model are under way; who waits for a place waits inside
//     its deadline. Places are a model's own: one that is slow, or whose log is full, holds up no other.
// A3. A client that went away asks for nothing more.

import type { Clock } from "../../../models/clock.js";
import type { ClientOutcome, DriftmendClient } from "../../../transport/client.js";
import type { InferenceReply } from "../../../transport/messages/wire.js";
import type { Row } from "./rows.js";

export type Asker = Pick<DriftmendClient, "infer">;

const rowsAtOnce = 32;
export const modelAtOnce = 256;

export interface RowWish {
  readonly model: string;
  readonly rows: readonly Row[];
  /** For all rows together. */
  readonly deadlineMs: number;
  readonly priority: number | undefined;
  readonly explain: boolean;
  readonly traceparent: string | undefined;
  /** The client went away. */
  readonly signal: AbortSignal;
}

export type Unanswered = Exclude<ClientOutcome<InferenceReply>, { readonly kind: "reply" }>;
export type AskedRows =
  | { readonly kind: "answered"; readonly replies: readonly InferenceReply[] }
  | { readonly kind: "unanswered"; readonly row: number; readonly outcome: Unanswered };

/** Places under way, given in the order of asking. */
export class Places {
  #free: number;
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();

  constructor(places: number, clock: Clock) {
    this.#free = places;
    this.#clock = clock;
  }

  /** A place, to be given back once; undefined when there is none within `withinMs`. */
  async take(withinMs: number): Promise<(() => void) | undefined> {
    if (this.#free > 0) this.#free -= 1;
    else if (!(await this.#wait(withinMs))) return undefined;
    return () => {
      const [next] = this.#waiting;
      if (next === undefined) this.#free += 1;
      else next();
    };
  }

  /** True with a place. */
  #wait(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (hasPlace: boolean): void => {
        this.#waiting.delete(given);
        cancel();
        resolve(hasPlace);
      };
      const given = (): void => settle(true);
      const cancel = this.#clock.after(withinMs, () => settle(false));
      this.#waiting.add(given);
    });
  }
}

/** The places of each model, made when it is first asked and kept while it is there. */
export class PlacesOfModels {
  readonly #clock: Clock;
  readonly #places = new Map<string, Places>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `there`: the models that there are now. */
  of(model: string, there: readonly string[]): Places {
    for (const name of this.#places.keys()) if (!there.includes(name)) this.#places.delete(name);
    const places = this.#places.get(model) ?? new Places(modelAtOnce, this.#clock);
    this.#places.set(model, places);
    return places;
  }
}

export async function askRows(asker: Asker, places: Places, clock: Clock, wish: RowWish): Promise<AskedRows> {
  const { rows, deadlineMs } = wish;
  const deadlineAtMs = clock.monotonicMs() + deadlineMs;
  const replies: InferenceReply[] = [];
  let failure: { readonly row: number; readonly outcome: Unanswered } | undefined;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (failure === undefined && next < rows.length) {
      const index = next;
      next += 1;
      const outcome = await askRow(asker, places, clock, wish, rows[index], deadlineAtMs);
      if (outcome.kind === "reply") replies[index] = outcome.reply;
      else failure ??= { row: index, outcome };
    }
  };
  await Promise.all(Array.from({ length: Math.min(rowsAtOnce, rows.length) }, worker));
  return failure === undefined ? { kind: "answered", replies } : { kind: "unanswered", ...failure };
}

async function askRow(
  asker: Asker,
  places: Places,
  clock: Clock,
  { model, priority, explain, traceparent, signal }: RowWish,
  row: Row | undefined,
  deadlineAtMs: number,
): Promise<ClientOutcome<InferenceReply>> {
  if (row === undefined) throw new Error("a row was asked for that is not there");
  const late = { kind: "failed", why: "timeout", message: "no answer in time", tries: 0 } as const;
  const giveBack = await places.take(deadlineAtMs - clock.monotonicMs());
  if (giveBack === undefined) return late;
  try {
    const leftMs = deadlineAtMs - clock.monotonicMs();
    if (signal.aborted) return { kind: "failed", why: "closed", message: "the client went away", tries: 0 };
    if (leftMs < 1) return late;
    return await asker.infer(model, row.tensor(), {
      id: row.id,
      deadlineMs: leftMs,
      explain,
      ...(priority === undefined ? {} : { priority }),
      ...(traceparent === undefined ? {} : { traceparent }),
    });
  } finally {
    giveBack();
  }
}
