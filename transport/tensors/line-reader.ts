// What a NATS server sends on a line of chunks, read piece by piece: the bytes of a chunk are handed on where they lie in the socket's buffer,
// and never put together into a message of their own.
//
// Owns: the protocol's lines, the place where a message's headers end and its bytes begin. Does not own: the socket (chunk-line.ts), what is
// done with the bytes (receiver.ts).
//
// L1. What is kept between two feedings is bounded: one line, or the headers of one message. A longer line ends the reading: no server sends
//     one. Longer headers, which anybody may publish, are passed over, and the message names no place.
// L2. However the bytes are cut into feedings, the same calls come out, but for where a chunk's bytes are cut.
// L3. A line that the protocol does not have ends the reading; nothing in it is guessed at.
//
// Source: docs.nats.io, Client Protocol; nats-server 2.9 server/parser.go.

import { Buffer } from "node:buffer";
import { chunkRoomBytes } from "./bounds.js";
import { type ChunkHead, headIn } from "./chunk-messages.js";
import type { ChunkSink } from "./chunk-source.js";

export interface LineSink extends ChunkSink {
  info(text: string): void;
  ping(): void;
  pong(): void;
  /** The server's own words. */
  failed(message: string): void;
}

/** A server's INFO names every server of its cluster; no other line comes near. */
const lineBytesMax = 64 * 1024;
const newline = 10;
const messageLine = /^MSG (\S+) \S+ (?:\S+ )?(\d{1,9})$/;
const headedLine = /^HMSG (\S+) \S+ (?:\S+ )?(\d{1,9}) (\d{1,9})$/;
const headerLine = /\r\n([^:\r\n]+): *([^\r\n]*)/g;
const bare: ChunkHead = { offset: Number.NaN, crc: undefined };

type Reading =
  | { readonly what: "line" }
  | {
      readonly what: "headers";
      readonly subject: string;
      readonly bytes: number;
      readonly isKept: boolean;
      left: number;
    }
  | { readonly what: "bytes"; left: number };

const aLine: Reading = { what: "line" };

export class LineReader {
  readonly #sink: LineSink;
  #reading: Reading = aLine;
  /** The beginning of a line, or of headers, whose end has not come. */
  #kept = "";

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  /** False: this is not the protocol, or more of it than is kept; nothing is read any more. */
  feed(bytes: Uint8Array): boolean {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < buffer.length; ) {
      const reading = this.#reading;
      const next = reading.what === "line" ? this.#line(buffer, at) : this.#counted(reading, buffer, at);
      if (next === undefined) return false;
      at = next;
    }
    return true;
  }

  /** Bytes that are counted: headers, or a chunk's. */
  #counted(reading: Exclude<Reading, { readonly what: "line" }>, buffer: Buffer, at: number): number {
    const end = Math.min(buffer.length, at + reading.left);
    reading.left -= end - at;
    if (reading.what === "bytes") this.#sink.piece(buffer.subarray(at, end));
    else if (reading.isKept) this.#kept += buffer.toString("latin1", at, end);
    if (reading.left === 0) this.#ended(reading);
    return end;
  }

  #ended(reading: Exclude<Reading, { readonly what: "line" }>): void {
    this.#reading = aLine;
    if (reading.what === "bytes") return;
    const headers = new Map(
      Array.from(this.#kept.matchAll(headerLine), ([, name = "", value = ""]) => [name, value.trim()]),
    );
    this.#kept = "";
    this.#begin(reading.subject, headIn(headers), reading.bytes);
  }

  #begin(subject: string, head: ChunkHead, bytes: number): void {
    if (bytes > 0) this.#reading = { what: "bytes", left: bytes };
    this.#sink.begins(subject, head, bytes);
  }

  #line(buffer: Buffer, at: number): number | undefined {
    const end = buffer.indexOf(newline, at);
    const until = end < 0 ? buffer.length : end;
    if (this.#kept.length + until - at > lineBytesMax) return undefined;
    this.#kept += buffer.toString("latin1", at, until);
    if (end < 0) return buffer.length;
    const line = this.#kept.trimEnd();
    this.#kept = "";
    return this.#obey(line) ? end + 1 : undefined;
  }

  #obey(line: string): boolean {
    // What ends a message's bytes.
    if (line === "" || line === "+OK") return true;
    if (line.startsWith("HMSG ")) return this.#headed(line);
    if (line.startsWith("MSG ")) return this.#plain(line);
    if (line === "PING") this.#sink.ping();
    else if (line === "PONG") this.#sink.pong();
    else if (line.startsWith("INFO ")) this.#sink.info(line.slice("INFO ".length));
    else if (line.startsWith("-ERR")) this.#sink.failed(line.slice("-ERR".length).trim());
    else return false;
    return true;
  }

  #plain(line: string): boolean {
    const [, subject, bytes] = messageLine.exec(line) ?? [];
    if (subject === undefined) return false;
    this.#begin(subject, bare, Number(bytes));
    return true;
  }

  #headed(line: string): boolean {
    const [, subject, headers, all] = headedLine.exec(line) ?? [];
    const left = Number(headers);
    const bytes = Number(all) - left;
    if (subject === undefined || left < 1 || bytes < 0) return false;
    this.#reading = { what: "headers", subject, bytes, isKept: left <= chunkRoomBytes, left };
    return true;
  }
}
