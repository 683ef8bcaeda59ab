// The next of what serving is given of an adaptation, written over the one before.
//
// Owns: what is copied, and that it is copied only where a bit differs. Does not own: the numbers (adaptation.ts).
//
// D1. The one before is never changed; where nothing differs it stays what serving has.
// D2. All columns of a new one lie in one buffer: to cross the border of a thread then costs one copy, not six.
import { ColumnLayout } from "../numbers/columns.js";
import { at } from "../numbers/softmax.js";
import { domainsMax } from "./domains.js";
import type { Parameters } from "./pass.js";
import { closeRow, plan } from "./rollout.js";
import type { DomainStanding } from "./standing.js";

/** The limit of a domain that is not there: no signature reaches it. */
export const nowhere = -1e30;

type Adapted = Omit<Parameters, "head">;
type Column = Float32Array | Uint8Array;

export class AdaptedDraft {
  readonly #before: Adapted;
  #next: Adapted | undefined;

  constructor(before: Adapted) {
    this.#before = before;
  }

  /** The one before, itself, where nothing differs. */
  get adapted(): Adapted {
    return this.#next ?? this.#before;
  }

  /** [S] of a domain, and the limit that follows from it. */
  setSignature(domain: number, signature: Float32Array): void {
    const { signatures, limits } = this.adapted;
    let square = 0;
    let differs = false;
    for (let s = 0; s < signature.length; s++) {
      const value = at(signature, s);
      square += value * value;
      differs ||= at(signatures, s * domainsMax + domain) !== value;
    }
    const limit = Math.fround(-square / 2);
    if (!differs && at(limits, domain) === limit) return;
    const into = this.#writable();
    for (let s = 0; s < signature.length; s++) into.signatures[s * domainsMax + domain] = at(signature, s);
    into.limits[domain] = limit;
  }

  /** The domain is not there any more: its places are as they were before it began. */
  setNowhere(domain: number): void {
    if (at(this.adapted.limits, domain) === Math.fround(nowhere)) return;
    const { signatures, limits, table, plan } = this.#writable();
    for (let s = domain; s < signatures.length; s += domainsMax) signatures[s] = 0;
    limits[domain] = nowhere;
    const width = table.length / plan.flags.length;
    table.copyWithin((domain + 1) * width, 0, width);
    closeRow(plan, domain + 1);
  }

  /** One row of the table; both [C]. */
  setNormalisation(row: number, scale: Float32Array, shift: Float32Array): void {
    const { table } = this.adapted;
    const { length } = scale;
    if (equalAt(table, row * 2 * length, scale) && equalAt(table, (row * 2 + 1) * length, shift)) return;
    writeTableRow(this.#writable().table, row, scale, shift);
  }

  setPlan(row: number, standing: DomainStanding, floor: boolean): void {
    const { flags, best, scores } = this.adapted.plan;
    const [bestPlaces, kinds] = [best.length / flags.length, scores.length / flags.length];
    const one = { flags: new Uint8Array(1), best: new Uint8Array(bestPlaces), scores: new Float32Array(kinds) };
    plan(one, 0, standing, floor);
    if (
      equalAt(flags, row, one.flags) &&
      equalAt(best, row * bestPlaces, one.best) &&
      equalAt(scores, row * kinds, one.scores)
    )
      return;
    const into = this.#writable().plan;
    into.flags.set(one.flags, row);
    into.best.set(one.best, row * bestPlaces);
    into.scores.set(one.scores, row * kinds);
  }

  #writable(): Adapted {
    this.#next ??= copyOf(this.#before);
    return this.#next;
  }
}

/** Of float32 columns, their widest, first (columns.ts). */
function copyOf({ signatures, limits, table, plan: { flags, best, scores } }: Adapted): Adapted {
  const floats = [signatures, limits, table, scores].reduce((sum, { length }) => sum + length, 0);
  const layout = new ColumnLayout(new ArrayBuffer(4 * floats + flags.length + best.length));
  return {
    signatures: copied(layout.float32(signatures.length), signatures),
    limits: copied(layout.float32(limits.length), limits),
    table: copied(layout.float32(table.length), table),
    plan: {
      scores: copied(layout.float32(scores.length), scores),
      flags: copied(layout.uint8(flags.length), flags),
      best: copied(layout.uint8(best.length), best),
    },
  };
}

function copied<C extends Column>(into: C, from: C): C {
  into.set(from);
  return into;
}

/** Bits, or NaN and NaN: scores of looks that were hardly taken are no number. */
function equalAt(column: Column, start: number, values: Column): boolean {
  for (let i = 0; i < values.length; i++) if (!Object.is(column[start + i], values[i])) return false;
  return true;
}

/** Scale, then shift, as one row of the graph's table. */
export function writeTableRow(table: Float32Array, row: number, scale: Float32Array, shift: Float32Array): void {
  table.set(scale, row * 2 * scale.length);
  table.set(shift, (row * 2 + 1) * scale.length);
}
