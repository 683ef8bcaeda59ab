// One walk over foreign JSON bytes before they are parsed.
//
// Owns: the bounds of a document's structure. Does not own: whether it is JSON at all (JSON.parse), what it means (infer-body.ts).
//
// J1. Depth, objects and lists are counted, so what a parser makes of a body is a small multiple of the body, and no recursion is deep.
// J2. Items and members are counted, as it is they that take a parser's time: 4 MiB of "0," are two million numbers, and took 140 ms on 2 cores
//     of a Xeon; of member names of an object, 250 ms. Within the bounds it is below 50.

export interface JsonBounds {
  readonly depthMax: number;
  readonly objectsMax: number;
  readonly listsMax: number;
  /** Of all lists together; the members of objects count too. */
  readonly itemsMax: number;
  /** Of all objects together. */
  readonly membersMax: number;
}

const quote = 0x22;
const backslash = 0x5c;

/** What is too much, or undefined. Brackets inside of strings are text. */
export function beyondBounds(
  bytes: Uint8Array,
  { depthMax, objectsMax, listsMax, itemsMax, membersMax }: JsonBounds,
): string | undefined {
  let depth = 0;
  let objects = 0;
  let lists = 0;
  let commas = 0;
  let members = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    switch (bytes[at]) {
      case quote:
        at = endOfString(bytes, at);
        break;
      case 0x7b:
        objects += 1;
        depth += 1;
        break;
      case 0x5b:
        lists += 1;
        depth += 1;
        break;
      case 0x7d:
      case 0x5d:
        depth -= 1;
        break;
      case 0x2c:
        commas += 1;
        break;
      case 0x3a:
        members += 1;
        break;
    }
    if (depth > depthMax) return `nested deeper than ${depthMax}`;
    if (objects > objectsMax) return `more than ${objectsMax} objects`;
    if (lists > listsMax) return `more than ${listsMax} lists`;
    if (commas > itemsMax) return `more than ${itemsMax} items`;
    if (members > membersMax) return `more than ${membersMax} members of objects`;
  }
  return undefined;
}

/** The index of its closing quote, or of the last byte where there is none. */
function endOfString(bytes: Uint8Array, opening: number): number {
  for (let at = opening + 1; at < bytes.length; at += 1) {
    if (bytes[at] === backslash) at += 1;
    else if (bytes[at] === quote) return at;
  }
  return bytes.length;
}
