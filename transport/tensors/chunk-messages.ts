// What a receiver tells the sender of a large tensor, and how a chunk is marked: the bytes of docs "contract", Tensor.
//
// Owns: these messages in both directions, the header of a chunk. Does not own: when they are sent (sender.ts, receiver.ts).
//
// On the sender's own subject, `ref.ask`:
//   pull     send `credit` bytes from `from` on to `to`; with no credit a sign of life: the tensor is wanted, and will be asked for
//   confirm  all bytes are here, and they are the ones that were announced
//   abandon  nobody here wants them any more
// On the receiver's subject, `to`: chunks, each with its offset. One without bytes says that the sender has let go of the tensor.

import { encodeMessage } from "../messages/codec.js";
import { number, oneOf, type Parsed, parse, text, whole } from "../messages/fields.js";
import { header } from "../subjects.js";

export type SenderOrder =
  | { readonly kind: "pull"; readonly id: string; readonly to: string; readonly from: number; readonly credit: number }
  | { readonly kind: "confirm"; readonly id: string }
  | { readonly kind: "abandon"; readonly id: string; readonly why: string };

const id = text(32);
const subject = text(256);
const why = text(256);

export function encodeSenderOrder(order: SenderOrder): Uint8Array {
  return encodeMessage({ v: 1, ...order });
}

export function parseSenderOrder(bytes: Uint8Array): Parsed<SenderOrder> {
  return parse(bytes, (fields): SenderOrder => {
    const kind = oneOf("pull", "confirm", "abandon")(fields, "kind");
    switch (kind) {
      case "pull":
        return {
          kind,
          id: id(fields, "id"),
          to: subject(fields, "to"),
          from: whole(0)(fields, "from"),
          credit: number(0, Number.MAX_SAFE_INTEGER)(fields, "credit"),
        };
      case "confirm":
        return { kind, id: id(fields, "id") };
      case "abandon":
        return { kind, id: id(fields, "id"), why: why(fields, "why") };
      default:
        return kind satisfies never;
    }
  });
}

/** What is said of a chunk beside its bytes. */
export interface ChunkHead {
  /** Of its first byte in the tensor; NaN where it is not said. */
  readonly offset: number;
  /** CRC-32 of all bytes of the tensor, with the last chunk at the latest, where the reference does not have it. */
  readonly crc: number | undefined;
}

export function chunkHeaders({ offset, crc }: ChunkHead): Readonly<Record<string, string>> {
  return { [header.offset]: `${offset}`, ...(crc === undefined ? {} : { [header.checksum32]: `${crc}` }) };
}

export function headIn(headers: { get(name: string): string | undefined }): ChunkHead {
  const crc = wholeIn(headers.get(header.checksum32));
  return { offset: wholeIn(headers.get(header.offset)), crc: crc < 2 ** 32 ? crc : undefined };
}

/** NaN for anything else. */
function wholeIn(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}
