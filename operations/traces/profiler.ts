// The profiler: a CPU profile of this process, taken when an operator orders it.
//
// Owns: the session with the inspector, one profile at a time, the newest one until it is fetched. Does not own: the order's bytes
// (transport/messages/profile-orders.ts), who may order (credentials.ts).
//
// P1. Nothing is attached while nobody profiles: what is not asked for costs nothing.
// P2. Of the thread that talks to NATS. Models and memory run in threads of their own, and their time is in the spans.
// P3. Bounded: one at a time, five minutes at most, and what nobody fetches is let go.

import { Session } from "node:inspector/promises";
import type { Clock } from "../../models/clock.js";
import type { Bus, Incoming } from "../../transport/bus/bus.js";
import { refuse } from "../../transport/bus/refusing.js";
import {
  encodeProfilePiece,
  encodeProfileTaken,
  parseProfileOrder,
  pieceBytes,
} from "../../transport/messages/profile-orders.js";
import type { Subjects } from "../../transport/subjects.js";

export interface ProfilerDeps {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly node: string;
  readonly clock: Clock;
  /** Unique to this process. */
  readonly origin: string;
}

interface Kept {
  readonly id: string;
  readonly bytes: Uint8Array;
}

/** The newest profile is kept so long after the last look at it. */
const keptMs = 60_000;

/** Answers orders to profile this node until the returned function is called. */
export function answerProfileOrders(deps: ProfilerDeps): () => void {
  const { bus, subjects, node } = deps;
  const profiler = new Profiler(deps);
  const subscription = bus.subscribe(subjects.order(node, "profile"), {}, (message) => profiler.obey(message));
  return () => {
    subscription.unsubscribe();
    profiler.close();
  };
}

class Profiler {
  readonly #deps: ProfilerDeps;
  #taken = 0;
  #isBusy = false;
  #kept: Kept | undefined;
  #letGo: (() => void) | undefined;
  #isClosed = false;

  constructor(deps: ProfilerDeps) {
    this.#deps = deps;
  }

  async obey(message: Incoming): Promise<void> {
    const parsed = parseProfileOrder(message.data);
    if (parsed.kind === "refused") return refuse(message, parsed);
    const order = parsed.value;
    if (order.kind === "take") return this.#take(message, order.forMs);
    const kept = this.#kept;
    if (kept === undefined || kept.id !== order.id)
      return refuse(message, { code: "bad_request", field: "id", message: "this profile is not here any more" });
    this.#keep(kept);
    message.respond(encodeProfilePiece(kept.bytes.subarray(order.index * pieceBytes, (order.index + 1) * pieceBytes)));
  }

  async #take(message: Incoming, forMs: number): Promise<void> {
    const { node, clock, origin } = this.#deps;
    if (this.#isBusy)
      return refuse(message, { code: "overloaded", message: `${node} is being profiled already`, retryAfterMs: 1_000 });
    this.#isBusy = true;
    try {
      const { text, samples } = await profileFor(forMs, clock);
      const bytes = Buffer.from(text);
      const pieces = Math.ceil(bytes.byteLength / pieceBytes);
      this.#taken += 1;
      const id = `${origin.slice(-12)}-${this.#taken}`;
      this.#keep({ id, bytes });
      message.respond(encodeProfileTaken({ id, node, bytes: bytes.byteLength, pieces, samples }));
    } finally {
      this.#isBusy = false;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#letGo?.();
    this.#kept = undefined;
  }

  #keep(kept: Kept): void {
    if (this.#isClosed) return;
    this.#letGo?.();
    this.#kept = kept;
    this.#letGo = this.#deps.clock.after(keptMs, () => {
      this.#kept = undefined;
    });
  }
}

/** A .cpuprofile, as Chrome and other tools read it. */
async function profileFor(forMs: number, clock: Clock): Promise<{ readonly text: string; readonly samples: number }> {
  const session = new Session();
  session.connect();
  try {
    await session.post("Profiler.enable");
    await session.post("Profiler.start");
    await clock.delay(forMs);
    const { profile } = await session.post("Profiler.stop");
    return { text: JSON.stringify(profile), samples: profile.samples?.length ?? 0 };
  } finally {
    session.disconnect();
  }
}
