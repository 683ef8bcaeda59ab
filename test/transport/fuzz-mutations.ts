// What a stranger may make of a good message: a seeded, structure-aware mutation of its msgpack.
//
// Nothing here uses the decoder under test: the structure is read by a walk of its own.

import type { Random } from "../../models/clock.js";

/** One value of a message: its lead byte, where its contents begin, where it ends. */
export interface Token {
  readonly at: number;
  readonly body: number;
  readonly end: number;
  readonly kind: "map" | "array" | "text" | "bin" | "scalar";
  readonly isKey: boolean;
}

/** Every value of a good message, outer ones first. */
export function tokensOf(bytes: Uint8Array): readonly Token[] {
  const tokens: Token[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const walk = (at: number, isKey: boolean): number => {
    const lead = view.getUint8(at);
    const index = tokens.length;
    const put = (kind: Token["kind"], body: number, end: number): number => {
      tokens[index] = { at, body, end, kind, isKey };
      return end;
    };
    tokens.push({ at, body: at, end: at, kind: "scalar", isKey });
    const items = (kind: "map" | "array", count: number, body: number): number => {
      let next = body;
      for (let item = 0; item < count; item += 1) {
        if (kind === "map") next = walk(next, true);
        next = walk(next, false);
      }
      return put(kind, body, next);
    };
    if (lead < 0x80 || lead >= 0xe0) return put("scalar", at + 1, at + 1);
    if (lead < 0x90) return items("map", lead & 0x0f, at + 1);
    if (lead < 0xa0) return items("array", lead & 0x0f, at + 1);
    if (lead < 0xc0) return put("text", at + 1, at + 1 + (lead & 0x1f));
    const size = 1 << (lead & 3);
    if (lead >= 0xc4 && lead <= 0xc6)
      return put(
        "bin",
        at + 1 + (1 << (lead - 0xc4)),
        at + 1 + (1 << (lead - 0xc4)) + sizeAt(view, at + 1, lead - 0xc4),
      );
    if (lead >= 0xd9 && lead <= 0xdb)
      return put(
        "text",
        at + 1 + (1 << (lead - 0xd9)),
        at + 1 + (1 << (lead - 0xd9)) + sizeAt(view, at + 1, lead - 0xd9),
      );
    if (lead === 0xdc || lead === 0xdd)
      return items("array", sizeAt(view, at + 1, lead - 0xdb), at + (lead === 0xdc ? 3 : 5));
    if (lead === 0xde || lead === 0xdf)
      return items("map", sizeAt(view, at + 1, lead - 0xdd), at + (lead === 0xde ? 3 : 5));
    if (lead === 0xca) return put("scalar", at + 5, at + 5);
    if (lead === 0xcb) return put("scalar", at + 9, at + 9);
    return put("scalar", at + 1, at + 1 + (lead >= 0xcc && lead <= 0xd3 ? size : 0));
  };
  walk(0, false);
  return tokens;
}

/** Of one, two or four bytes, as `power` says. */
function sizeAt(view: DataView, at: number, power: number): number {
  return power === 0 ? view.getUint8(at) : power === 1 ? view.getUint16(at) : view.getUint32(at);
}

export interface Good {
  readonly bytes: Uint8Array;
  readonly tokens: readonly Token[];
}

export interface Payload {
  readonly bytes: Uint8Array;
  /** It claims to be longer than it is: whoever believes it allocates. */
  readonly isLie: boolean;
}

/** Makes one thing out of a good message; `other` is one of another kind. */
type Mutation = (good: Good, other: Good, random: Random) => Uint8Array;

const pick = <T>(list: readonly T[], random: Random): T => {
  const found = list[Math.floor(random() * list.length)];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
};
const upTo = (most: number, random: Random): number => Math.floor(random() * most);
const octets = (length: number, random: Random): Uint8Array => Uint8Array.from({ length }, () => upTo(256, random));
const splice = (bytes: Uint8Array, from: number, to: number, insert: Uint8Array): Uint8Array =>
  Buffer.concat([bytes.subarray(0, from), insert, bytes.subarray(to)]);

/** Lead bytes with lengths of one, two and four bytes that nothing here has. */
const lies: readonly Uint8Array[] = [
  ...[0xc6, 0xdb, 0xdd, 0xdf, 0xc9].flatMap((lead) => [
    Uint8Array.of(lead, 0xff, 0xff, 0xff, 0xff),
    Uint8Array.of(lead, 0x7f, 0xff, 0xff, 0xff),
    Uint8Array.of(lead, 0x01, 0x00, 0x00, 0x00),
    Uint8Array.of(lead, 0x00, 0xff, 0xff, 0xff),
  ]),
  ...[0xc5, 0xda, 0xdc, 0xde, 0xc8].map((lead) => Uint8Array.of(lead, 0xff, 0xff)),
  ...[0xc4, 0xd9, 0xc7].map((lead) => Uint8Array.of(lead, 0xff)),
];

const text = (word: string): Uint8Array =>
  Buffer.concat([Uint8Array.of(0xd9, Buffer.byteLength(word)), Buffer.from(word)]);
const int64 = (lead: number, value: bigint): Uint8Array => {
  const bytes = Buffer.alloc(9, lead);
  bytes.writeBigInt64BE(value, 1);
  return bytes;
};
const float = (value: number): Uint8Array => {
  const bytes = Buffer.alloc(9, 0xcb);
  bytes.writeDoubleBE(value, 1);
  return bytes;
};
/** Values that nobody wants where they are put. */
const oddities: readonly Uint8Array[] = [
  ...[0x00, 0x7f, 0xff, 0xe0, 0xc0, 0xc1, 0xc2, 0xc3, 0x80, 0x90, 0xa0].map((lead) => Uint8Array.of(lead)),
  ...[Number.NaN, Number.POSITIVE_INFINITY, -0, Number.MAX_VALUE, 2 ** 53, -1.5, 5e-324].map(float),
  ...[2n ** 62n, -(2n ** 63n), -1n, 2n ** 53n].flatMap((value) => [int64(0xcf, value), int64(0xd3, value)]),
  // Extensions: a timestamp, an error, a set, a typed array, a record, one of nobody.
  ...[
    [0xd6, 0xff, 0, 0, 0, 0],
    [0xd4, 0x65, 0x90],
    [0xd4, 0x73, 0x90],
    [0xd5, 0x74, 0x11, 0],
    [0xd4, 0x72, 0x40],
    [0xc7, 0, 9],
  ].map((bytes) => Uint8Array.from(bytes)),
  Uint8Array.of(0xc4, 3, 1, 2, 3),
  ...["", "__proto__", "constructor", "toString", "7", "\u0000", "\ud7ff", "x".repeat(200)].map(text),
  Uint8Array.of(0xa2, 0xff, 0xfe),
];

const nested = (lead: readonly number[], depth: number): Uint8Array =>
  Buffer.concat([...Array.from({ length: depth }, () => Uint8Array.from(lead)), Uint8Array.of(0xc0)]);
const nests: readonly Uint8Array[] = [[0x91], [0x81, 0xa1, 0x61], [0xdd, 0, 0, 0, 1]].flatMap((lead) =>
  [3, 15, 16, 17, 60, 4_000].map((depth) => nested(lead, depth)),
);

/** A map or a list of so many entries, of different keys or of a few. */
const widely = (count: number, isMap: boolean, keys: number): Uint8Array => {
  const head = Uint8Array.of(0x82, 0xa1, 0x76, 0x01, 0xa1, 0x61, isMap ? 0xde : 0xdc, count >> 8, count & 0xff);
  const nil = Uint8Array.of(0xc0);
  const entry = (index: number): readonly Uint8Array[] => (isMap ? [text(`${index % keys}`), nil] : [nil]);
  return Buffer.concat([head, ...Array.from({ length: count }, (_, index) => entry(index)).flat()]);
};
const wides: readonly Uint8Array[] = [17, 300, 1_025, 4_000].flatMap((count) => [
  ...[5_000, 7].map((keys) => widely(count, true, keys)),
  widely(count, false, 1),
]);

const shrunk: Mutation = ({ bytes }, _other, random) => bytes.subarray(0, upTo(bytes.length, random));
const grown: Mutation = ({ bytes }, _other, random) => Buffer.concat([bytes, octets(1 + upTo(40, random), random)]);
const noise: Mutation = (_good, _other, random) => octets(upTo(120, random), random);
const mapOfNoise: Mutation = (_good, _other, random) =>
  Buffer.concat([Uint8Array.of(0x80 | upTo(16, random)), octets(upTo(120, random), random)]);

const flipped: Mutation = ({ bytes }, _other, random) => {
  const copy = Uint8Array.from(bytes);
  for (let flips = 1 + upTo(4, random); flips > 0; flips -= 1) copy[upTo(copy.length, random)] = upTo(256, random);
  return copy;
};
const bitFlipped: Mutation = ({ bytes }, _other, random) => {
  const copy = Uint8Array.from(bytes);
  const at = upTo(copy.length, random);
  copy[at] = (copy[at] ?? 0) ^ (1 << upTo(8, random));
  return copy;
};
const lying: Mutation = ({ bytes, tokens }, _other, random) => {
  const { at, body } = pick(tokens, random);
  return splice(bytes, at, body, pick(lies, random));
};
const odd: Mutation = ({ bytes, tokens }, _other, random) => {
  const { at, end } = pick(tokens, random);
  return splice(bytes, at, end, pick(oddities, random));
};
const crossed: Mutation = ({ bytes, tokens }, other, random) => {
  const { at, end } = pick(tokens, random);
  const from = pick(other.tokens, random);
  return splice(bytes, at, end, other.bytes.subarray(from.at, from.end));
};
const deep: Mutation = ({ bytes, tokens }, _other, random) => {
  const { at, end } = pick(tokens, random);
  return splice(bytes, at, end, pick(nests, random));
};

/** The top map with one entry twice, one less, or one of another message: its count goes along, or does not. */
const recounted: Mutation = ({ bytes, tokens }, other, random) => {
  const [top] = tokens;
  const keys = tokens.filter(({ isKey }) => isKey);
  const key = pick(keys.length === 0 ? tokens : keys, random);
  const value = tokens.find(({ at }) => at === key.end) ?? key;
  const foreign = pick(other.tokens, random);
  const entry = random() < 0.5 ? bytes.subarray(key.at, value.end) : other.bytes.subarray(foreign.at, foreign.end);
  const copy = Uint8Array.from(
    random() < 0.3
      ? splice(bytes, key.at, value.end, new Uint8Array(0))
      : splice(bytes, bytes.length, bytes.length, entry),
  );
  const lead = copy[0] ?? 0;
  if (top?.kind === "map" && lead >= 0x80 && lead < 0x8f && random() < 0.8)
    copy[0] = lead + (copy.length > bytes.length ? 1 : -1);
  return copy;
};

const wide: Mutation = (_good, _other, random) => Uint8Array.from(pick(wides, random));

/** Each as often as it stands here. */
const mutations: readonly Mutation[] = [
  ...[flipped, flipped, bitFlipped, bitFlipped, odd, odd, odd, odd, crossed, crossed, crossed, lying, lying],
  ...[recounted, recounted, shrunk, grown, noise, mapOfNoise],
];
const costly: readonly Mutation[] = [deep, deep, deep, wide];
const costlyShare = 0.01;
const twiceShare = 0.15;

/** The next payload; the same ones for the same goods and the same random numbers. */
export function mutated(goods: readonly Good[], good: Good, random: Random): Payload {
  const other = pick(goods, random);
  const mutation = pick(random() < costlyShare ? costly : mutations, random);
  let bytes = mutation(good, other, random);
  if (random() < twiceShare && bytes.length > 0) bytes = flipped({ bytes, tokens: good.tokens }, other, random);
  return { bytes, isLie: mutation === lying || mutation === costly[0] };
}
