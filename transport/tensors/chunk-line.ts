// A line of chunks: a connection to NATS of its own for the bytes of large tensors, which are not copied on their way through this process.
//
// Why not the client library's connection: it puts each message together in buffers that it makes anew and doubles until it fits, and packs
// what leaves into a new one; that cost the receiver four times what the bytes cost (bench/NOTES.md). And on one connection a small reply
// waits behind megabytes (law 10).
//
// Owns: when there is a connection, what it listens to, what leaves on it. Does not own: one try (line-dial.ts), the protocol's lines
// (line-reader.ts), which bytes, and when.
//
// C1. It is never in anybody's way: while it is down `send` says so, what was under way is lost, and whoever needs it asks again.
// C2. It comes back for ever, server after server of the list, and says anew what it listens to. Only `close` ends it.
// C3. What is handed to `send` is not copied: it must not change while its tensor is wanted (N1); who changes it spoils a checksum.
// C4. A server that says nothing for three pings is left, and one that does not speak the protocol at once.

import type { Socket } from "node:net";
import type { Clock } from "../../models/clock.js";
import { pingEveryMs, serversIn } from "../bus/server-list.js";
import { type ChunkHead, chunkHeaders } from "./chunk-messages.js";
import type { ChunkSink, ChunkSource } from "./chunk-source.js";
import { type Dialed, dialLine, type LineOptions } from "./line-dial.js";

export interface ChunkLine extends ChunkSource {
  /** Undefined while there is no connection. */
  readonly payloadMaxBytes: number | undefined;
  /** Resolves when the first try is over: there is a connection, or none so soon. */
  readonly tried: Promise<void>;
  /** False while there is no connection. */
  send(subject: string, bytes: Uint8Array, head: ChunkHead): boolean;
  /** Resolves once the socket takes more; at once while there is no connection. */
  room(): Promise<void>;
  close(): void;
}

type State =
  | { readonly kind: "down" }
  | { readonly kind: "up"; readonly dialed: Dialed; readonly cancelPing: () => void }
  | { readonly kind: "closed" };

/** Between two dials; the wait doubles up to the longer one while no server takes us. */
const redialMs = { least: 50, most: 1_000 };
const silentPingsMax = 3;
/** A line listens to one pattern. */
const subscription = 1;

/** Returns at once: the connection comes when it comes. */
export function openChunkLine(options: LineOptions): ChunkLine {
  return new Line(options);
}

class Line implements ChunkLine {
  readonly #options: LineOptions;
  readonly #clock: Clock;
  readonly #servers: readonly string[];
  readonly #over = new AbortController();
  readonly #waitingForRoom = new Set<() => void>();
  readonly tried: Promise<void>;
  #state: State = { kind: "down" };
  #listening: { readonly subject: string; readonly sink: ChunkSink } | undefined;
  #dials = 0;
  #redialAfterMs = redialMs.least;

  constructor(options: LineOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#servers = serversIn(options.url);
    this.tried = this.#dial();
  }

  get payloadMaxBytes(): number | undefined {
    return this.#state.kind === "up" ? this.#state.dialed.payloadMaxBytes : undefined;
  }

  listen(subject: string, sink: ChunkSink): () => void {
    if (this.#listening !== undefined) throw new Error("a line of chunks listens to one pattern");
    this.#listening = { subject, sink };
    this.#say(`SUB ${subject} ${subscription}\r\n`);
    return () => {
      this.#listening = undefined;
      this.#say(`UNSUB ${subscription}\r\n`);
    };
  }

  send(subject: string, bytes: Uint8Array, head: ChunkHead): boolean {
    if (this.#state.kind !== "up") return false;
    const { socket } = this.#state.dialed;
    const lines = Object.entries(chunkHeaders(head)).map(([name, value]) => `${name}: ${value}\r\n`);
    const headers = `NATS/1.0\r\n${lines.join("")}\r\n`;
    // One system call for all three, and the bytes are taken from where they are.
    socket.cork();
    socket.write(`HPUB ${subject} ${headers.length} ${headers.length + bytes.byteLength}\r\n${headers}`);
    socket.write(bytes);
    socket.write("\r\n");
    socket.uncork();
    return true;
  }

  room(): Promise<void> {
    if (this.#state.kind !== "up" || !this.#state.dialed.socket.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => this.#waitingForRoom.add(resolve));
  }

  close(): void {
    const { dialed } = this.#leave({ kind: "closed" });
    this.#over.abort();
    dialed?.socket.destroySoon();
    // What was sent before still leaves, where the server takes it; nobody waits for that.
    dialed?.socket.unref();
  }

  #say(words: string): void {
    if (this.#state.kind === "up") this.#state.dialed.socket.write(words);
  }

  async #dial(): Promise<void> {
    const server = this.#servers[this.#dials % this.#servers.length] ?? "";
    this.#dials += 1;
    const sink: ChunkSink = {
      begins: (subject, head, bytes) => this.#listening?.sink.begins(subject, head, bytes),
      piece: (bytes) => this.#listening?.sink.piece(bytes),
    };
    const dialed = await dialLine(server, this.#options, sink, this.#over.signal);
    if (this.#over.signal.aborted) dialed?.socket.destroy();
    else if (dialed === undefined) void this.#redial();
    else this.#came(dialed);
  }

  async #redial(): Promise<void> {
    await this.#clock.delay(this.#redialAfterMs, this.#over.signal);
    this.#redialAfterMs = Math.min(redialMs.most, 2 * this.#redialAfterMs);
    if (!this.#over.signal.aborted) await this.#dial();
  }

  #came(dialed: Dialed): void {
    const { socket } = dialed;
    const gone = (): void => {
      socket.destroy();
      if (this.#state.kind !== "up" || this.#state.dialed !== dialed) return;
      this.#leave({ kind: "down" });
      void this.#redial();
    };
    this.#state = { kind: "up", dialed, cancelPing: this.#pinging(socket, gone) };
    this.#redialAfterMs = redialMs.least;
    socket.on("drain", () => this.#tellRoom());
    socket.on("error", gone).on("close", gone);
    if (this.#listening !== undefined) this.#say(`SUB ${this.#listening.subject} ${subscription}\r\n`);
    if (socket.destroyed) gone();
  }

  /** Whatever the server says counts as an answer. */
  #pinging(socket: Socket, gone: () => void): () => void {
    let [silent, heardBytes] = [0, socket.bytesRead];
    let cancel: () => void = () => undefined;
    const ping = (): void => {
      silent = socket.bytesRead === heardBytes ? silent + 1 : 0;
      heardBytes = socket.bytesRead;
      if (silent >= silentPingsMax) {
        gone();
        return;
      }
      socket.write("PING\r\n");
      cancel = this.#clock.after(pingEveryMs(this.#servers), ping);
    };
    cancel = this.#clock.after(pingEveryMs(this.#servers), ping);
    return () => cancel();
  }

  /** The state that was. */
  #leave(next: State): { readonly dialed?: Dialed } {
    const was = this.#state;
    this.#state = next;
    this.#tellRoom();
    if (was.kind !== "up") return {};
    was.cancelPing();
    return was;
  }

  #tellRoom(): void {
    for (const tell of this.#waitingForRoom) tell();
    this.#waitingForRoom.clear();
  }
}
