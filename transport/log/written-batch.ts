// A micro-batch's record as records.ts writes it, read at the places where its fields must stand.
//
// A node that restarts reads thousands of them before it is ready. Walked as foreign bytes, unpacked as any message and taken apart field by
// field, one of five rows costs 32 us when the code is warm and 49 in a process that has just begun; here 11 and 20.
//
// Owns: the order of the fields, and that nothing else is taken. Does not own: what a record is and what is said of a wrong one (records.ts):
// whatever is laid out in another way is left to it.
//
// W1. What is taken here records.ts takes too, and makes the same of it: this is a shorter way for some bytes, never another meaning.
// W2. Nothing is allocated for a length that the bytes do not have.

import type { ExperienceBatch } from "../../models/experience.js";
import { ColumnLayout } from "../../models/numbers/columns.js";
import { numbersInto } from "../../models/numbers/half.js";
import { type Dtype, itemBytes, packedText, tensorStem } from "../messages/codec.js";

/** Beyond these the bytes are walked first: the bounds of a message are counted there. */
const rowsMax = 1_024;
const sizeMax = 65_535;
const textMax = { name: 64, id: 128, traceId: 64 } as const;

/** Ends a reading; never leaves this file. No Error: a stack would cost more than the reading. */
const otherwise = Symbol("laid out otherwise");

/** Undefined where the bytes are no batch, or not laid out as this version writes one. */
export function writtenBatch(bytes: Uint8Array): ExperienceBatch | undefined {
  try {
    return batchIn(new Reading(bytes));
  } catch (thrown) {
    if (thrown === otherwise) return undefined;
    throw thrown;
  }
}

/** A map with two bytes of length, then `v: 1` and `kind: "answers"`. */
const beginning = Uint8Array.of(
  ...[0xde, 0, 24, ...packedText("v"), 1],
  ...[...packedText("kind"), ...packedText("answers")],
);
const keys = {
  model: packedText("model"),
  node: packedText("node"),
  incarnation: packedText("incarnation"),
  atMs: packedText("atMs"),
  version: packedText("version"),
  ids: packedText("ids"),
  traceIds: packedText("traceIds"),
} as const;

function batchIn(reading: Reading): ExperienceBatch {
  reading.expect(beginning);
  const model = reading.text(keys.model, textMax.name);
  const node = reading.text(keys.node, textMax.name);
  const incarnation = reading.whole(keys.incarnation);
  const atMs = reading.number(keys.atMs);
  const version = reading.whole(keys.version);
  const ids = reading.texts(keys.ids, textMax.id);
  const traceIds = reading.texts(keys.traceIds, textMax.traceId);
  const rows = ids.length;
  if (rows === 0 || traceIds.length !== rows) throw otherwise;
  const cold = reading.octets("cold", rows);
  const bySource = reading.octets("bySource", rows);
  const learn = reading.octets("learn", rows);
  const answers = reading.shorts(reading.column("answers", "<u2", rows));
  const confidences = reading.column("confidences", "<f4", rows);
  const priorities = reading.column("priorities", "<f4", rows);
  const slots = reading.octets("slots", rows);
  const densities = reading.column("densities", "<f2", rows);
  const lookRows = rising(reading.shorts(reading.column("lookRows", "<u2")), rows);
  const lookKinds = reading.octets("lookKinds", lookRows.length);
  const lookDensities = reading.column("lookDensities", "<f2", lookRows.length);
  const lookAnswers = reading.table("lookAnswers", "<f2", lookRows.length);
  const embeddings = reading.table("embeddings", "<f4", rows);
  const logits = reading.table("logits", "<f4", rows);
  const moments = reading.table("moments", "<f2", rows);
  reading.end();
  const ofRows = confidences.items + priorities.items + densities.items + embeddings.items;
  const room = new Room(reading, ofRows + logits.items + moments.items + lookDensities.items + lookAnswers.items);
  // Spelled out: spread, it costs as much as a quarter of the reading.
  return {
    kind: "answers",
    model,
    node,
    incarnation,
    atMs,
    version,
    ids,
    traceIds,
    cold,
    bySource,
    learn,
    answers,
    confidences: room.floats(confidences),
    priorities: room.floats(priorities),
    slots,
    densities: room.halves(densities),
    looks: {
      rows: lookRows,
      kinds: lookKinds,
      densities: room.halves(lookDensities),
      answers: room.halves(lookAnswers),
    },
    embeddings: room.floats(embeddings),
    logits: room.floats(logits),
    moments: room.halves(moments),
  };
}

/** Rows that were looked at rise, and are among the record's. */
function rising(looked: Uint16Array, rows: number): Uint16Array {
  let before = 0;
  for (let i = 0; i < looked.length; i++) {
    const row = looked[i] ?? rows;
    if (row >= rows || row < before) throw otherwise;
    before = row;
  }
  return looked;
}

/** Where the bytes of a column lie. */
interface Place {
  readonly at: number;
  readonly items: number;
}

/** The numbers of all wide columns in one piece of memory, made once the whole record has been walked (W2). */
class Room {
  readonly #reading: Reading;
  readonly #layout: ColumnLayout;

  constructor(reading: Reading, items: number) {
    this.#reading = reading;
    this.#layout = new ColumnLayout(new ArrayBuffer(4 * items));
  }

  floats({ at, items }: Place): Float32Array {
    const into = this.#layout.float32(items);
    new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(this.#reading.part(at, into.byteLength));
    return into;
  }

  halves({ at, items }: Place): Float32Array {
    const into = this.#layout.float32(items);
    numbersInto(into, this.#reading.part(at, 2 * items));
    return into;
  }
}

/** A walk from field to field. */
class Reading {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  expect(literal: Uint8Array): void {
    const bytes = this.#bytes;
    let at = this.#at;
    for (let i = 0; i < literal.length; i++) if (bytes[at++] !== literal[i]) throw otherwise;
    this.#at = at;
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw otherwise;
  }

  part(at: number, length: number): Uint8Array {
    return this.#bytes.subarray(at, at + length);
  }

  text(key: Uint8Array, max: number): string {
    this.expect(key);
    return this.#text(max);
  }

  texts(key: Uint8Array, max: number): readonly string[] {
    this.expect(key);
    const lead = this.#octet();
    if (lead !== 0xdc && lead >> 4 !== 0x9) throw otherwise;
    const count = lead === 0xdc ? this.#short() : lead & 0x0f;
    if (count > rowsMax) throw otherwise;
    const found: string[] = [];
    for (let i = 0; i < count; i++) found.push(this.#text(max));
    return found;
  }

  whole(key: Uint8Array): number {
    const value = this.number(key);
    if (!Number.isSafeInteger(value)) throw otherwise;
    return value;
  }

  number(key: Uint8Array): number {
    this.expect(key);
    const value = this.#number();
    if (!(value >= 0 && value <= Number.MAX_VALUE)) throw otherwise;
    return value;
  }

  /** A column of bytes, as a view. */
  octets(name: string, rows: number): Uint8Array {
    const { at } = this.column(name, "|u1", rows);
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + at, rows);
  }

  /** A column of one number a row; of any number of rows when left out. */
  column(name: string, dt: Dtype, rows?: number): Place {
    this.expect(tensorStem(name, dt));
    if (this.#octet() !== 0x91) throw otherwise;
    const items = this.#size();
    if (rows !== undefined && items !== rows) throw otherwise;
    return this.#data(dt, items);
  }

  /** A column of several numbers a row. */
  table(name: string, dt: Dtype, rows: number): Place {
    this.expect(tensorStem(name, dt));
    if (this.#octet() !== 0x92 || this.#size() !== rows) throw otherwise;
    return this.#data(dt, rows * this.#size());
  }

  shorts({ at, items }: Place): Uint16Array {
    const bytes = this.#bytes;
    const found = new Uint16Array(items);
    for (let i = 0, from = at; i < items; i++, from += 2) found[i] = (bytes[from] ?? 0) | ((bytes[from + 1] ?? 0) << 8);
    return found;
  }

  #data(dt: Dtype, items: number): Place {
    this.#raw(0x70);
    const length = this.#raw(0x64);
    if (length !== items * itemBytes(dt)) throw otherwise;
    return { at: this.#at - length, items };
  }

  /** Moves behind the raw bytes under this one-letter name; how many they are. */
  #raw(letter: number): number {
    if (this.#octet() !== 0xa1 || this.#octet() !== letter) throw otherwise;
    const lead = this.#octet();
    if (lead < 0xc4 || lead > 0xc6) throw otherwise;
    const length = lead === 0xc4 ? this.#octet() : lead === 0xc5 ? this.#short() : this.#word();
    if (length > this.#bytes.length - this.#at) throw otherwise;
    this.#at += length;
    return length;
  }

  #text(max: number): string {
    const lead = this.#octet();
    if (lead !== 0xd9 && lead >> 5 !== 0x5) throw otherwise;
    const length = lead === 0xd9 ? this.#octet() : lead & 0x1f;
    const [bytes, start] = [this.#bytes, this.#at];
    const end = start + length;
    if (length === 0 || length > max || end > bytes.length) throw otherwise;
    // A letter beyond ASCII takes several bytes, and not all bytes are letters.
    for (let at = start; at < end; at++) if ((bytes[at] ?? 0xff) > 0x7f) throw otherwise;
    this.#at = end;
    return bytes.toString("latin1", start, end);
  }

  #number(): number {
    const lead = this.#octet();
    if (lead < 0x80) return lead;
    if (lead === 0xcc) return this.#octet();
    if (lead === 0xcd) return this.#short();
    if (lead === 0xce) return this.#word();
    if (lead !== 0xcb || this.#at + 8 > this.#bytes.length) throw otherwise;
    this.#at += 8;
    return this.#bytes.readDoubleBE(this.#at - 8);
  }

  #size(): number {
    const lead = this.#octet();
    if (lead >= 0x80 && lead !== 0xcc && lead !== 0xcd) throw otherwise;
    const size = lead < 0x80 ? lead : lead === 0xcc ? this.#octet() : this.#short();
    if (size > sizeMax) throw otherwise;
    return size;
  }

  #octet(): number {
    const octet = this.#bytes[this.#at++];
    if (octet === undefined) throw otherwise;
    return octet;
  }

  #short(): number {
    return this.#octet() * 0x100 + this.#octet();
  }

  #word(): number {
    return this.#short() * 0x10000 + this.#short();
  }
}
