// Arrivals: requests whose input is on its way, from the door to the desk.
//
// Owns: who waits for which of them, the conversion of what came to the model's scale, and that each ends: at the desk, or refused by name.
// Does not own: how the bytes come (transport/tensors/), admission (desk.ts), what a model takes (models/manifest.ts).
// It outlives the incarnations of the intake, as the desk does.
//
// V1. Nothing is fetched for a request that would be refused anyway: type, shape and size are the model's, and the desk has room.
// V2. An arrival ends within its request's deadline, and what the fetch took of it is missing at the desk.
// V3. A second delivery of a request that is arriving joins the first: one fetch, each delivery answered. Ids are their model's: the same one
//     at another model is another request.

import type { Clock } from "../../models/clock.js";
import type { InputRefused, Manifest } from "../../models/manifest.js";
import { convertPortion, type InPlace, placeFor, portion } from "../../models/serving/large-input.js";
import { elementsOf, itemBytes, type RemoteTensor, tensorOver } from "../../transport/messages/codec.js";
import type { RefusalCode } from "../../transport/messages/wire.js";
import { inlineBytesMax } from "../../transport/tensors/bounds.js";
import type { Held } from "../../transport/tensors/buffers.js";
import type { TensorReceiver } from "../../transport/tensors/receiver.js";
import { inSlices } from "../../transport/tensors/slices.js";
import type { Answerer, NewRequest } from "./desk.js";

/** A request without its input. */
export interface Arriving {
  readonly id: string;
  readonly manifest: Manifest;
  readonly remote: RemoteTensor;
  /** From the type of the tensor to the model's scale. */
  readonly scale: number;
  /** Monotonic. */
  readonly deadlineAtMs: number;
}

export interface NotFetched {
  readonly code: RefusalCode;
  readonly field?: string | undefined;
  readonly message: string;
  readonly retryAfterMs?: number | undefined;
}

export type Arrival = {
  /** All who wait for it by now, the first one included. */
  readonly answerers: readonly Answerer[];
} & (
  | { readonly kind: "arrived"; readonly input: Pick<NewRequest, "input" | "held"> }
  | { readonly kind: "refused"; readonly refusal: NotFetched }
);

interface Entry {
  readonly answerers: Answerer[];
  readonly over: AbortController;
}

/** Deliveries of one arriving request at most, as at the desk. */
const deliveriesMax = 64;
const retryAfterMs = 50;

export class Arrivals {
  readonly #receiver: TensorReceiver;
  readonly #clock: Clock;
  /** By model and id. */
  readonly #entries = new Map<string, Entry>();
  readonly #waiters: (() => void)[] = [];

  constructor(receiver: TensorReceiver, clock: Clock) {
    this.#receiver = receiver;
    this.#clock = clock;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The door opens: chunks may come from now on. */
  listen(): void {
    this.#receiver.listen();
  }

  /** Undefined when nothing of this id is on its way to the model. */
  join(
    model: string,
    id: string,
    answerer: Answerer,
  ): { readonly kind: "joined" } | ({ readonly kind: "refused" } & NotFetched) | undefined {
    const entry = this.#entries.get(keyOf(model, id));
    if (entry === undefined) return undefined;
    if (entry.answerers.length >= deliveriesMax) {
      const message = `request ${id} is arriving ${entry.answerers.length} times already`;
      return { kind: "refused", code: "overloaded", message, retryAfterMs };
    }
    entry.answerers.push(answerer);
    return { kind: "joined" };
  }

  /** Why its bytes will not be fetched; undefined when nothing speaks against it. */
  objection({ ref, dt, sh }: RemoteTensor): NotFetched | undefined {
    const objection = this.#receiver.objection(ref, placeFor(elementsOf(sh), itemBytes(dt)));
    return objection === undefined ? undefined : named(objection);
  }

  /**
   * `onEnd` is called once: when the input is there, at the model's scale, or will not come. No request of this id is arriving at the model.
   * Rejects for bugs only, and then it has been refused.
   */
  async fetch(arriving: Arriving, answerer: Answerer, onEnd: (arrival: Arrival) => void): Promise<void> {
    const { id, manifest, deadlineAtMs } = arriving;
    const key = keyOf(manifest.name, id);
    const entry: Entry = { answerers: [answerer], over: new AbortController() };
    this.#entries.set(key, entry);
    const late = this.#clock.after(Math.max(0, deadlineAtMs - this.#clock.monotonicMs()), () => entry.over.abort());
    let prepared: Prepared | ({ readonly kind: "refused" } & Refused) = bug;
    try {
      prepared = await this.#bring(arriving, entry.over.signal);
    } finally {
      late();
      if (this.#entries.get(key) === entry) {
        this.#entries.delete(key);
        const { answerers } = entry;
        try {
          if (prepared.kind === "prepared") onEnd({ kind: "arrived", input: prepared.input, answerers });
          else onEnd({ kind: "refused", refusal: named(prepared), answerers });
        } finally {
          // Whoever waits for the end of all waits without a bound of his own.
          this.#tellDrained();
        }
      } else if (prepared.kind === "prepared") prepared.input.held?.release();
    }
  }

  async #bring(arriving: Arriving, signal: AbortSignal): Promise<Prepared | ({ readonly kind: "refused" } & Refused)> {
    const { ref, dt, sh } = arriving.remote;
    const place = placeFor(elementsOf(sh), itemBytes(dt));
    const fetched = await this.#receiver.fetch(ref, place, signal);
    return fetched.kind === "fetched" ? prepare(arriving, fetched.held, place, signal) : fetched;
  }

  /** Everything that is still on its way, by name: whoever waited for it is about to end. */
  refuseAll(code: RefusalCode, message: string): void {
    for (const [key, { answerers, over }] of [...this.#entries]) {
      this.#entries.delete(key);
      for (const answerer of answerers) answerer.refuse(code, message, retryAfterMs);
      over.abort();
    }
    this.#tellDrained();
  }

  /** Resolves once nothing is on its way; new requests must have been stopped before. Deadlines bound the wait. */
  drained(): Promise<void> {
    if (this.#entries.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #tellDrained(): void {
    if (this.#entries.size === 0) for (const resolve of this.#waiters.splice(0)) resolve();
  }
}

/** A model's name has no slash. */
function keyOf(model: string, id: string): string {
  return `${model}/${id}`;
}

type Prepared = { readonly kind: "prepared"; readonly input: Pick<NewRequest, "input" | "held"> };
type Refused = {
  readonly code: RefusalCode;
  readonly field?: string;
  readonly message: string;
  readonly retryAfterMs?: number;
};

const bug: { readonly kind: "refused" } & Refused = {
  kind: "refused",
  code: "internal",
  message: "the tensor could not be taken in",
};

/** Where the bytes lie, portion by portion; what is refused is let go of. */
async function prepare(
  { manifest, remote: { dt, sh }, scale }: Arriving,
  held: Held,
  { offset }: InPlace,
  signal: AbortSignal,
): Promise<Prepared | ({ readonly kind: "refused" } & Refused)> {
  const elements = elementsOf(sh);
  const raw = tensorOver(dt, sh, held.bytes.subarray(offset, offset + elements * itemBytes(dt))).data;
  const values = new Float32Array(held.bytes.buffer, 0, elements);
  let wrong: InputRefused | undefined;
  try {
    await inSlices(
      elements,
      portion,
      (from, to) => {
        wrong ??= convertPortion(manifest, scale, raw, values, from, to);
      },
      signal,
    );
  } catch (error) {
    held.release();
    throw error;
  }
  if (wrong === undefined && !signal.aborted) return ready(values, held);
  held.release();
  if (wrong !== undefined) return { kind: "refused", code: "bad_tensor", field: wrong.field, message: wrong.message };
  return { kind: "refused", code: "deadline", message: "the deadline passed before an answer was ready" };
}

/** A small input is like every other from here on. */
function ready(values: Float32Array, held: Held): Prepared {
  if (values.byteLength > inlineBytesMax) return { kind: "prepared", input: { input: values, held } };
  const input = Float32Array.from(values);
  held.release();
  return { kind: "prepared", input: { input } };
}

/** Fields as the request has them. */
function named({ code, field, message, retryAfterMs: waitMs }: Refused): NotFetched {
  const ofInput = field === undefined || field.startsWith("input.") ? field : `input.${field}`;
  return { code, field: ofInput, message, retryAfterMs: waitMs };
}
