// Following a stream from a sequence on, in order, without gaps or repeats, across deaths of the broker.
//
// Owns: the ephemeral consumer, its replacement, and the bound on what is fetched ahead.
// Does not own: what a message means.
//
// F1. A message is yielded once, in stream order. The position is kept here, never in the server: a new consumer starts behind it.
// F2. Any doubt (silence longer than two heartbeats, a gap in the consumer's count, a reconnect, an error status) replaces the consumer.
// F3. At most two fetches of messages are held here; a slow reader stops the fetching.
// F4. Ends only by the signal or with the connection, or because the stream is not the one it was: made anew, gone for good, or shorter than
//     what was read from it. That is a LogWipedError, never silence. Gone and shorter are believed after a while only: of several servers
//     a new leader may not show yet what the one before it delivered.
// F5. Where the reader says what it knows by other ways (echo.ts), a new consumer starts behind that, and there is none while it writes
//     everything itself: a message that comes back costs the server, this process and the socket between them more than to write it.
// F6. Of several servers the consumer stands on one, and its copy of the stream may lag, for a moment or for good: such a consumer beats and
//     shows nothing. One that has nothing more is replaced when the stream's leader has.

import type { Clock } from "../../models/clock.js";
import type { Bus, Incoming } from "../bus/bus.js";
import { header, jetStreamApi } from "../subjects.js";
import { type Place, placeOf } from "./delivery-place.js";
import { type Echo, EchoWatch } from "./echo.js";
import { consumerIdleMs, fetchOrder, heartbeatMs, makeConsumer, serverIn } from "./ephemeral-consumer.js";
import { ask, isMissingStream } from "./jetstream.js";
import { ReadStream } from "./read-stream.js";
import { SilenceWatch } from "./silence-watch.js";

export interface FollowOptions {
  /** First sequence wanted. Where it is already purged, the first one that is left comes. */
  readonly fromSeq: number;
  readonly signal: AbortSignal;
  /** Messages per fetch. */
  readonly batch?: number;
  /** Only messages on this subject, which may have wildcards; all when left out. */
  readonly subject?: string;
  /** For a reader that writes to the stream itself; everything is read when left out. */
  readonly echo?: Echo;
  /**
   * `ahead`, the default: what comes is sent at once, whether the reader waits or not. `asked`: only while it waits, then what is there; for
   * who needs what is behind it now and then, many messages cost one wakening and not one each.
   */
  readonly fetching?: "ahead" | "asked";
  /** Told of each consumer that was replaced for what its copy of the stream does not show (F6). */
  readonly onCopyBehind?: (copy: CopyBehind) => void;
}

/** A server's copy of a stream does not show what the stream's leader has. */
export interface CopyBehind {
  readonly stream: string;
  /** Empty where the server does not say whose copy it was. */
  readonly server: string;
  /** The first message that is missing. */
  readonly seq: number;
}

export interface Followed {
  readonly seq: number;
  readonly subject: string;
  readonly bytes: Uint8Array;
  readonly headers: Incoming["headers"];
  readonly atMs: number;
  /** Messages behind this one when it was sent: 0 means the follower has caught up. */
  readonly pending: number;
}

const silenceMs = 2 * heartbeatMs + 200;
const retryMs = 50;
/** Shorter than the server keeps a consumer that nobody fetches from. */
const checkForMs = 5_000;
/** A consumer that was left alone so long is made anew rather than asked: whether it is still there would be found out by silence. */
const forgottenMs = consumerIdleMs - 2_000;
/** Between two looks of a follower that rests: two of them are the longest that another's message waits. */
const lookEveryMs = 100;
/** What the leader shows has come within this time, if it comes. */
const onItsWayMs = 250;
const batchDefault = 128;

export function follow(bus: Bus, clock: Clock, stream: string, options: FollowOptions): AsyncIterable<Followed> {
  return {
    async *[Symbol.asyncIterator]() {
      const follower = new Follower(bus, clock, stream, options);
      try {
        for (;;) {
          const next = await follower.next();
          if (next === undefined) return;
          yield next;
        }
      } finally {
        follower.end();
      }
    },
  };
}

/** One consumer of ours on the server, with its inbox. */
interface Attachment {
  readonly name: string;
  /** Whose copy it reads; empty where nobody says. */
  readonly server: string;
  readonly inbox: string;
  readonly detach: () => void;
  /** Messages this consumer has delivered; the next must carry one more. */
  delivered: number;
  /** Messages of the running fetch that are still to come; 0 = no fetch runs. */
  outstanding: number;
  /** The leader is being asked for what this consumer does not show. */
  isCompared: boolean;
}

class Follower {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #stream: string;
  readonly #signal: AbortSignal;
  readonly #batch: number;
  readonly #subject: string | undefined;
  readonly #echo: Echo | undefined;
  readonly #echoes = new EchoWatch();
  readonly #isLazy: boolean;
  readonly #queue: Followed[] = [];
  readonly #stopListening: () => void;
  #nextSeq: number;
  #attachment: Attachment | undefined;
  #attaching = false;
  /** The rest that is under way: of one that was broken off, what it still does is void. */
  #rest: object | undefined;
  #ended = false;
  /** The reader waits. */
  #isAwaited = false;
  /** More messages stood behind the newest one that came. */
  #hasMore = false;
  #fetchedAtMs = 0;
  #wake: (() => void) | undefined;
  readonly #read: ReadStream;
  readonly #onCopyBehind: (copy: CopyBehind) => void;
  readonly #silence: SilenceWatch;

  constructor(bus: Bus, clock: Clock, stream: string, options: FollowOptions) {
    this.#bus = bus;
    this.#clock = clock;
    this.#stream = stream;
    this.#signal = options.signal;
    this.#batch = options.batch ?? batchDefault;
    this.#subject = options.subject;
    this.#echo = options.echo;
    this.#read = new ReadStream(bus, clock, stream);
    this.#onCopyBehind = options.onCopyBehind ?? (() => undefined);
    this.#silence = new SilenceWatch(clock, silenceMs, () => this.#replace());
    this.#isLazy = options.fetching === "asked";
    this.#nextSeq = Math.max(1, options.fromSeq);
    this.#stopListening = bus.onEvent((event) => {
      if (event.kind === "disconnected") this.#detach();
      if (event.kind === "reconnected") this.#replace();
      if (event.kind === "closed") this.end();
    });
    this.#signal.addEventListener("abort", this.#onAbort, { once: true });
    if (this.#signal.aborted) this.end();
    else this.#replace();
  }

  /** The next message, or undefined after the end. */
  async next(): Promise<Followed | undefined> {
    while (!this.#ended) {
      const message = this.#queue.shift();
      if (message !== undefined) {
        this.#fetch();
        return message;
      }
      this.#isAwaited = true;
      this.#fetch();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#isAwaited = false;
    }
    if (this.#read.wiped !== undefined) throw this.#read.wiped;
    return undefined;
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#stopListening();
    this.#detach();
    this.#wake?.();
  }

  readonly #onAbort = (): void => this.end();

  #replace(): void {
    this.#detach();
    this.#rest = undefined;
    if (this.#echo !== undefined) this.#nextSeq = Math.max(this.#nextSeq, this.#echo.known() + 1);
    if (!this.#attaching) void this.#attach();
  }

  #detach(): void {
    this.#silence.stop();
    this.#attachment?.detach();
    this.#attachment = undefined;
  }

  /** Tries until a consumer stands; the only loop, so that never two run. */
  async #attach(): Promise<void> {
    this.#attaching = true;
    while (!this.#ended && this.#attachment === undefined) {
      const inbox = this.#bus.inbox();
      const name = inbox.slice(inbox.lastIndexOf(".") + 1);
      const created = await makeConsumer(this.#bus, this.#stream, name, this.#nextSeq, this.#subject);
      if (this.#ended) break;
      if (created.kind === "ok" && (await this.#seesSameStream()) && this.#bus.connected)
        this.#listen(name, inbox, serverIn(created.body));
      else if (isMissingStream(created) && this.#read.isGone()) this.end();
      else if (created.kind === "unavailable" && created.why === "closed") this.end();
      else if (!this.#ended) await this.#clock.delay(retryMs, this.#signal);
    }
    this.#attaching = false;
  }

  /** As `#isSameStream`, asked for a while: a consumer that stands need not be made again because of a word that is late. */
  async #seesSameStream(): Promise<boolean> {
    const untilMs = this.#clock.monotonicMs() + checkForMs;
    for (;;) {
      if (await this.#isSameStream()) return true;
      if (this.#ended || !this.#bus.connected || this.#clock.monotonicMs() >= untilMs) return false;
      await this.#clock.delay(retryMs, this.#signal);
    }
  }

  /** False too while that cannot be asked. */
  async #isSameStream(): Promise<boolean> {
    const isSame = await this.#read.isSame(this.#nextSeq);
    if (this.#read.wiped !== undefined) this.end();
    return isSame && !this.#ended;
  }

  #listen(name: string, inbox: string, server: string): void {
    const subscription = this.#bus.subscribe(inbox, {}, (message) => this.#receive(attachment, message));
    const attachment: Attachment = {
      name,
      server,
      inbox,
      detach: () => subscription.unsubscribe(),
      delivered: 0,
      outstanding: 0,
      isCompared: false,
    };
    this.#attachment = attachment;
    this.#fetchedAtMs = this.#clock.monotonicMs();
    this.#fetch();
  }

  /** Without a consumer, while everything that is written comes from the reader itself (F5). */
  async #resting(echo: Echo): Promise<void> {
    this.#detach();
    const rest = {};
    this.#rest = rest;
    this.#echoes.rest(this.#nextSeq - 1, echo.known());
    for (;;) {
      await this.#clock.delay(lookEveryMs, this.#signal);
      if (this.#rest !== rest || this.#ended) return;
      const isSame = await this.#isSameStream();
      if (this.#rest !== rest || this.#ended) return;
      if (!isSame || this.#echoes.isOver(this.#read.endSeq, echo.known())) break;
    }
    this.#replace();
  }

  /** Asks for the next batch when none is on its way, there is room for it (F3), and it is wished for. */
  #fetch(): void {
    const attachment = this.#attachment;
    if (attachment === undefined || attachment.outstanding > 0 || this.#queue.length >= this.#batch) return;
    const isWished = (this.#isAwaited && this.#queue.length === 0) || this.#hasMore;
    if (this.#isLazy && !isWished) return;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#fetchedAtMs > forgottenMs) {
      this.#replace();
      return;
    }
    this.#fetchedAtMs = nowMs;
    const sent = this.#bus.publish(
      jetStreamApi.consumerNext(this.#stream, attachment.name),
      fetchOrder(this.#batch, this.#isLazy),
      {
        replyTo: attachment.inbox,
      },
    );
    if (!sent) return;
    attachment.outstanding = this.#batch;
    this.#silence.heard();
  }

  #receive(attachment: Attachment, message: Incoming): void {
    if (attachment !== this.#attachment) return;
    this.#silence.heard();
    if (message.subject === attachment.inbox) this.#status(attachment, message);
    else this.#message(attachment, message);
  }

  #status(attachment: Attachment, message: Incoming): void {
    const { status } = message.headers;
    if (status === 100) {
      if (attachment.delivered === 0 && this.#read.endSeq >= this.#nextSeq) void this.#compare(attachment);
      return;
    }
    // 404 and 408 end a fetch that found nothing more in its time; everything else puts the consumer in doubt.
    if (status !== 404 && status !== 408) {
      this.#replace();
      return;
    }
    attachment.outstanding = 0;
    this.#silence.stop();
    void this.#compare(attachment);
    this.#fetch();
  }

  /** Asks the leader for what this consumer says it has not (F6). */
  async #compare(attachment: Attachment): Promise<void> {
    // One server alone has one copy.
    if (attachment.isCompared || attachment.server === "") return;
    attachment.isCompared = true;
    const wanted = { seq: this.#nextSeq, next_by_subj: this.#subject ?? ">" };
    const found = await ask(this.#bus, jetStreamApi.messageGet(this.#stream), wanted);
    // What nobody fetches is not shown either.
    if (found.kind === "ok" && attachment.outstanding > 0) {
      const { seq } = found.body.message as { readonly seq: number };
      await this.#clock.delay(onItsWayMs, this.#signal);
      if (this.#attachment === attachment && attachment.outstanding > 0 && this.#nextSeq <= seq) {
        this.#onCopyBehind({ stream: this.#stream, server: attachment.server, seq });
        this.#replace();
      }
    }
    attachment.isCompared = false;
  }

  #message(attachment: Attachment, message: Incoming): void {
    const place = placeOf(message.replyTo);
    if (place === undefined || place.delivered !== attachment.delivered + 1) {
      this.#replace();
      return;
    }
    attachment.delivered = place.delivered;
    attachment.outstanding -= 1;
    // A consumer on a replica that lags begins at the end of what it has, which may lie before the place that was asked for.
    if (place.seq >= this.#nextSeq) this.#take(place, message);
    if (attachment.outstanding === 0) {
      this.#silence.stop();
      this.#fetch();
    }
    this.#wake?.();
    if (this.#echo === undefined) return;
    const isDue = this.#echoes.heard(this.#echo.isOwn(message.headers.get(header.messageId) ?? ""));
    // Who catches up meets its own of long ago.
    if (isDue && place.pending === 0) void this.#resting(this.#echo);
  }

  #take({ seq, atMs, pending }: Place, { subject, data: bytes, headers }: Incoming): void {
    this.#nextSeq = seq + 1;
    this.#read.read(seq, atMs);
    this.#hasMore = pending > 0;
    this.#queue.push({ seq, subject, bytes, headers, atMs, pending });
  }
}
