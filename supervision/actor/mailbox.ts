// The bounded mailbox of one actor.
//
// Owns: the ring of queued messages, the messages in flight, and the account of every message ever accepted.
// Does not own: what a message means, who is told of dead letters.
//
//        offer                take                 commit
//   tell ------>  [ queued ]  ------> ( in flight ) ------> handled
//                     ^                    |
//                     +---- giveBack ------+----> dead letter
//
// M1. queued + in flight <= capacity, so that giving back always finds room.
// M2. accepted = handled + deadLettered + queued + in flight. `unaccounted` measures the difference; it is never assumed.
// M3. Given back messages keep their order, in front of everything queued since.

/** A message and what went wrong with it before. */
export interface Delivery {
  readonly message: unknown;
  /** Deliveries that crashed. */
  readonly crashes: number;
}

/**
 * Only a message whose delivery crashed is wrapped: most never are, and a wrapper for each would double what a flood leaves
 * to the garbage collector. It is delivered alone from then on, so that of a crashed batch the one at fault is found.
 */
class Suspect implements Delivery {
  readonly message: unknown;
  readonly crashes: number;

  constructor(message: unknown, crashes: number) {
    this.message = message;
    this.crashes = crashes;
  }
}

/** A message as it was told, or a suspect. */
type Entry = unknown;

/** What became of an accepted message so far. */
export interface MailboxAccount {
  readonly accepted: number;
  readonly refused: number;
  readonly handled: number;
  readonly redelivered: number;
  readonly deadLettered: number;
}

export class Mailbox {
  readonly capacity: number;
  #ring: Entry[];
  #head = 0;
  #queued = 0;
  readonly #flight: Entry[] = [];
  #accepted = 0;
  #refused = 0;
  #handled = 0;
  #redelivered = 0;
  #deadLettered = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#ring = new Array(Math.min(capacity, 16));
  }

  get queued(): number {
    return this.#queued;
  }

  get inFlight(): number {
    return this.#flight.length;
  }

  /** False when the mailbox is at its bound. */
  offer(message: unknown): boolean {
    if (this.#queued + this.#flight.length >= this.capacity) {
      this.#refused += 1;
      return false;
    }
    if (this.#queued === this.#ring.length) this.#grow();
    let tail = this.#head + this.#queued;
    if (tail >= this.#ring.length) tail -= this.#ring.length;
    this.#ring[tail] = message;
    this.#queued += 1;
    this.#accepted += 1;
    return true;
  }

  /** A tell that came after the end: counted, not taken. */
  refuse(): void {
    this.#refused += 1;
  }

  /** Moves the first message into flight. There must be one. */
  takeOne(): unknown {
    const entry = this.#shift();
    this.#flight.push(entry);
    return entry instanceof Suspect ? entry.message : entry;
  }

  /** Moves up to `max` messages into flight; a suspect goes alone. */
  takeBatch(max: number): readonly unknown[] {
    const messages: unknown[] = [];
    while (this.#queued > 0 && messages.length < max) {
      const isSuspect = this.#ring[this.#head] instanceof Suspect;
      if (isSuspect && messages.length > 0) break;
      messages.push(this.takeOne());
      if (isSuspect) break;
    }
    return messages;
  }

  /** The turn's messages were handled. */
  commit(): void {
    this.#handled += this.#flight.length;
    if (this.#flight.length === 1) this.#flight.pop();
    else this.#flight.length = 0;
  }

  /**
   * The turn's messages were not handled and return to the front. When they are to blame (`isPoison` is given), a
   * message that crashed alone is asked about: the poisoned ones are taken out and returned, with their account settled.
   */
  giveBack(isPoison?: (delivery: Delivery) => boolean): readonly Delivery[] {
    const wasAlone = this.#flight.length === 1;
    const poisoned: Delivery[] = [];
    while (this.#flight.length > 0) {
      const entry = this.#flight.pop();
      if (isPoison === undefined) {
        this.#giveBackOne(entry);
        continue;
      }
      const { message, crashes } = deliveryOf(entry);
      const suspect = new Suspect(message, crashes + 1);
      if (wasAlone && isPoison(suspect)) poisoned.push(suspect);
      else this.#giveBackOne(suspect);
    }
    this.#deadLettered += poisoned.length;
    return poisoned;
  }

  /** Empties the queue for good, oldest first. */
  drain(): readonly Delivery[] {
    const drained: Delivery[] = [];
    while (this.#queued > 0) drained.push(deliveryOf(this.#shift()));
    this.#deadLettered += drained.length;
    return drained;
  }

  account(): MailboxAccount {
    return {
      accepted: this.#accepted,
      refused: this.#refused,
      handled: this.#handled,
      redelivered: this.#redelivered,
      deadLettered: this.#deadLettered,
    };
  }

  /** Messages that were accepted and are nowhere. Anything but zero is a bug of the runtime. */
  unaccounted(): number {
    return this.#accepted - this.#handled - this.#deadLettered - this.#queued - this.#flight.length;
  }

  #shift(): Entry {
    if (this.#queued === 0) throw new Error("took from an empty mailbox");
    const entry = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#ring.length) this.#head = 0;
    this.#queued -= 1;
    return entry;
  }

  #giveBackOne(entry: Entry): void {
    if (this.#queued === this.#ring.length) this.#grow();
    this.#head = this.#head === 0 ? this.#ring.length - 1 : this.#head - 1;
    this.#ring[this.#head] = entry;
    this.#queued += 1;
    this.#redelivered += 1;
  }

  #grow(): void {
    const size = Math.min(this.capacity, this.#ring.length * 2);
    const grown: Entry[] = new Array(size);
    for (let index = 0; index < this.#queued; index += 1) {
      grown[index] = this.#ring[(this.#head + index) % this.#ring.length];
    }
    this.#ring = grown;
    this.#head = 0;
  }
}

function deliveryOf(entry: Entry): Delivery {
  return entry instanceof Suspect ? entry : { message: entry, crashes: 0 };
}
