// Dialing a line of chunks: the server's greeting, TLS where the server wants it, who we are, and its word that it takes us.
//
// Owns: one try, within the timeout `connect`. Does not own: the next try (chunk-line.ts), what comes after the greeting (line-reader.ts).
//
// D1. A try ends with a socket that reads into the sink, or with nothing left open; the reason is in the main connection's events.
// D2. What is read lies in one buffer that is used again and again; a turn of the event loop reads 32 times at most, libuv's own bound: 2 MiB.

import { Buffer } from "node:buffer";
import { readFile } from "node:fs/promises";
import { connect, isIP, type Socket } from "node:net";
import { connect as secure, type TLSSocket } from "node:tls";
import { z } from "zod";
import type { Tls } from "../access/tls-files.js";
import type { BusOptions } from "../bus/bus.js";
import { signIn } from "../bus/bus-sign-in.js";
import { timeoutDefaults } from "../timeouts.js";
import type { ChunkSink } from "./chunk-source.js";
import { LineReader } from "./line-reader.js";

export interface LineOptions
  extends Pick<BusOptions, "url" | "user" | "password" | "nkey" | "name" | "clock" | "tls" | "timeouts"> {
  /** The server does not let this user send or hear something; its own words. It is no end of the connection. */
  readonly onRefused?: (message: string) => void;
}

/** A connection that the server has taken. */
export interface Dialed {
  readonly socket: Socket;
  readonly payloadMaxBytes: number;
}

const greeting = z.object({
  max_payload: z.int().min(1),
  headers: z.boolean().optional(),
  nonce: z.string().max(1024).optional(),
  tls_required: z.boolean().optional(),
  tls_available: z.boolean().optional(),
});
type Greeting = z.infer<typeof greeting>;

const readBytes = 64 * 1024;
const defaultPort = 4222;

/** Undefined when the server does not answer in time, or refuses. Aborted: given up. */
export function dialLine(
  server: string,
  options: LineOptions,
  sink: ChunkSink,
  signal: AbortSignal,
): Promise<Dialed | undefined> {
  const { hostname, port } = new URL(server.includes("://") ? server : `nats://${server}`);
  const dialing = new Dialing(hostname.replace(/^\[(.*)\]$/, "$1"), Number(port || defaultPort), options, sink);
  return dialing.run(signal);
}

class Dialing {
  readonly #host: string;
  readonly #options: LineOptions;
  readonly #reader: LineReader;
  #socket: Socket;
  #greeting: Greeting | undefined;
  #settle: (dialed: Dialed | undefined) => void = () => undefined;

  constructor(host: string, port: number, options: LineOptions, sink: ChunkSink) {
    this.#host = host;
    this.#options = options;
    this.#reader = new LineReader({
      begins: (subject, head, bytes) => sink.begins(subject, head, bytes),
      piece: (bytes) => sink.piece(bytes),
      info: (text) => this.#greeted(text),
      ping: () => void this.#socket.write("PONG\r\n"),
      pong: () => this.#taken(),
      // What is an end of the connection, the server makes one itself.
      failed: (message) => options.onRefused?.(message),
    });
    const buffer = Buffer.allocUnsafeSlow(readBytes);
    const take = (count: number): boolean => this.#read(buffer.subarray(0, count));
    this.#socket = connect({ host, port, onread: { buffer, callback: take } });
    this.#socket.setNoDelay(true);
  }

  async run(signal: AbortSignal): Promise<Dialed | undefined> {
    const { clock, timeouts = timeoutDefaults } = this.#options;
    const dialed = await new Promise<Dialed | undefined>((resolve) => {
      this.#settle = resolve;
      const late = clock.after(timeouts.connect, () => resolve(undefined));
      const over = (): void => resolve(undefined);
      signal.addEventListener("abort", over, { once: true });
      if (signal.aborted) over();
      this.#watch(this.#socket);
      this.#settle = (result) => {
        late();
        signal.removeEventListener("abort", over);
        resolve(result);
      };
    });
    if (dialed === undefined) this.#socket.destroy();
    return dialed;
  }

  #watch(socket: Socket): void {
    const failed = (): void => this.#settle(undefined);
    socket.on("error", failed).on("close", failed);
  }

  /** False would stop the reading; a socket that is destroyed stops by itself. */
  #read(bytes: Uint8Array): boolean {
    if (!this.#reader.feed(bytes)) this.#socket.destroy();
    return true;
  }

  #greeted(text: string): void {
    // Later ones tell of other servers.
    if (this.#greeting !== undefined) return;
    const found = greetingIn(text);
    this.#greeting = found;
    if (found?.headers !== true) this.#settle(undefined);
    else if (found.tls_required === true || found.tls_available === true) void this.#secured(found);
    else if (this.#options.tls !== undefined) this.#settle(undefined);
    else this.#signIn(found);
  }

  async #secured(found: Greeting): Promise<void> {
    const files = await certificates(this.#options.tls ?? {}).catch(() => undefined);
    const secured = files === undefined || this.#socket.destroyed ? undefined : this.#wrapped(files, found);
    if (secured === undefined) {
      this.#settle(undefined);
      return;
    }
    this.#socket = secured;
    this.#watch(secured);
    secured.on("data", (bytes: Uint8Array) => this.#read(bytes));
  }

  /** Undefined for files that are no certificates, as while somebody writes them anew. */
  #wrapped(files: Certificates, found: Greeting): TLSSocket | undefined {
    const name = isIP(this.#host) === 0 ? { servername: this.#host } : {};
    try {
      return secure({ socket: this.#socket, host: this.#host, ...name, ...files }, () => this.#signIn(found));
    } catch (error) {
      if (error instanceof Error && "code" in error) return undefined;
      throw error;
    }
  }

  #signIn({ nonce }: Greeting): void {
    const identity = signIn(this.#options);
    const proof = "authenticator" in identity ? identity.authenticator(nonce) : identity;
    const said = { verbose: false, pedantic: false, protocol: 1, lang: "driftmend", version: "1", headers: true };
    const words = { ...said, name: this.#options.name, ...proof };
    this.#socket.write(`CONNECT ${JSON.stringify(words)}\r\nPING\r\n`);
  }

  #taken(): void {
    if (this.#greeting !== undefined)
      this.#settle({ socket: this.#socket, payloadMaxBytes: this.#greeting.max_payload });
  }
}

function greetingIn(text: string): Greeting | undefined {
  try {
    const parsed = greeting.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

type Certificates = Awaited<ReturnType<typeof certificates>>;

async function certificates({ caFile, certFile, keyFile }: Tls) {
  const [ca, cert, key] = await Promise.all([caFile, certFile, keyFile].map((file) => read(file)));
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

async function read(file: string | undefined): Promise<Buffer | undefined> {
  return file === undefined ? undefined : readFile(file);
}
