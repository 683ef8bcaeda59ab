// The replay: what a step learns from, as many of each class, whatever the traffic was.
//
// Owns: trusted experiences by class, the window in which a late label still finds its experience, the draw.
// Does not own: what is trusted (policy.ts), the step (guarded-step.ts).
//
// A step on the newest request alone, without this balance, fell to 0.242 on bursts of one class (with it: 0.996).
//
// R1. Plain data; every change and every draw follows from its arguments.
// R2. An unverified row never takes the place of a verified one, and verified rows take at most half the places:
//     true labels are rare and stay, but classes that nobody labels keep learning from trust.
import type { Random } from "../clock.js";
import { at } from "../numbers/softmax.js";

export interface Replay {
  readonly perClass: number;
  readonly width: number;
  readonly classes: number;
  /** [classes, perClass, width] */
  readonly embeddings: Float32Array;
  /** [classes, perClass] position key of the row, -1 = empty. */
  readonly keys: Float64Array;
  /** [classes, perClass] order of entry. */
  readonly entered: Float64Array;
  /** [classes, perClass] 1 = a true label. */
  readonly verified: Uint8Array;
  /** [window, width] and [window]: the newest experiences of any confidence, and their keys. */
  readonly recentEmbeddings: Float32Array;
  readonly recentKeys: Float64Array;
  /** [2]: rows that ever entered a class; rows that ever entered the window. */
  readonly counts: Float64Array;
}

export interface Material {
  readonly rows: number;
  /** [rows, width] */
  readonly embeddings: Float32Array;
  /** [rows] the class each row shall have. */
  readonly votes: Uint16Array;
}

const empty = -1;
/** How many experiences back a late label may reach. */
const windowRows = 1024;

export function emptyReplay(classes: number, perClass: number, width: number): Replay {
  const places = classes * perClass;
  return {
    perClass,
    width,
    classes,
    embeddings: new Float32Array(places * width),
    keys: new Float64Array(places).fill(empty),
    entered: new Float64Array(places),
    verified: new Uint8Array(places),
    recentEmbeddings: new Float32Array(windowRows * width),
    recentKeys: new Float64Array(windowRows).fill(empty),
    counts: new Float64Array(2),
  };
}

/** Every experience passes here, so that a label that arrives later finds it. */
export function passBy(replay: Replay, key: number, embedding: Float32Array): void {
  const place = at(replay.counts, 1) % windowRows;
  replay.recentKeys[place] = key;
  replay.recentEmbeddings.set(embedding, place * replay.width);
  replay.counts[1] = at(replay.counts, 1) + 1;
}

/** Puts a row among those of `label`. */
export function admit(replay: Replay, label: number, key: number, embedding: Float32Array, verified: boolean): void {
  if (!(label >= 0 && label < replay.classes)) throw new RangeError(`label ${label} of ${replay.classes}`);
  const place = placeFor(replay, label, verified);
  replay.keys[place] = key;
  replay.verified[place] = verified ? 1 : 0;
  replay.entered[place] = at(replay.counts, 0);
  replay.counts[0] = at(replay.counts, 0) + 1;
  replay.embeddings.set(embedding, place * replay.width);
}

/** A true label for an earlier experience: it moves to its class and counts as verified. false = it is too long ago. */
export function correct(replay: Replay, key: number, label: number): boolean {
  const held = replay.keys.indexOf(key);
  const embedding = held >= 0 ? rowAt(replay.embeddings, held, replay.width) : recentRow(replay, key);
  if (embedding === null) return false;
  if (held >= 0) replay.keys[held] = empty;
  admit(replay, label, key, embedding, true);
  return true;
}

/** Takes an unverified row out; false when there is none: it was never material, has gone, or a true label says more. */
export function distrust(replay: Replay, key: number): boolean {
  const held = replay.keys.indexOf(key);
  if (held < 0 || replay.verified[held] === 1) return false;
  replay.keys[held] = empty;
  return true;
}

/** Classes that have at least one row. */
export function classesHeld(replay: Replay): number[] {
  const held: number[] = [];
  for (let label = 0; label < replay.classes; label++) if (filled(replay, label).length > 0) held.push(label);
  return held;
}

/** `rows` rows, class after class in turn from a random first one, each drawn from its class with equal chance. */
export function draw(replay: Replay, rows: number, random: Random): Material {
  const { width } = replay;
  const held = classesHeld(replay);
  if (held.length === 0) throw new Error("nothing to draw from");
  const places = new Map(held.map((label) => [label, filled(replay, label)]));
  const embeddings = new Float32Array(rows * width);
  const votes = new Uint16Array(rows);
  const first = Math.floor(random() * held.length);
  for (let row = 0; row < rows; row++) {
    const label = held[(first + row) % held.length] ?? 0;
    const choices = places.get(label) ?? [];
    const place = choices[Math.floor(random() * choices.length)] ?? 0;
    votes[row] = label;
    embeddings.set(rowAt(replay.embeddings, place, width), row * width);
  }
  return { rows, embeddings, votes };
}

function filled(replay: Replay, label: number): number[] {
  const places = Array.from({ length: replay.perClass }, (_, i) => label * replay.perClass + i);
  return places.filter((place) => at(replay.keys, place) !== empty);
}

/** An empty place; else the oldest of those that this row may replace (R2). Nothing is built for it: every trusted row asks. */
function placeFor(replay: Replay, label: number, verified: boolean): number {
  const { perClass, keys, entered } = replay;
  const from = label * perClass;
  let labelled = 0;
  for (let place = from; place < from + perClass; place++) if (isLabelled(replay, place)) labelled += 1;
  const share = Math.max(1, Math.floor(perClass / 2));
  const amongLabelled = verified && (labelled >= share || labelled === perClass);
  let oldest = -1;
  for (let place = from; place < from + perClass; place++) {
    if (isLabelled(replay, place) !== amongLabelled) continue;
    if (at(keys, place) === empty) return place;
    if (oldest < 0 || at(entered, place) < at(entered, oldest)) oldest = place;
  }
  if (oldest < 0) throw new Error(`no place of class ${label} may be replaced`);
  return oldest;
}

function isLabelled({ keys, verified }: Replay, place: number): boolean {
  return verified[place] === 1 && at(keys, place) !== empty;
}

function recentRow(replay: Replay, key: number): Float32Array | null {
  const place = replay.recentKeys.indexOf(key);
  return place < 0 ? null : rowAt(replay.recentEmbeddings, place, replay.width);
}

function rowAt(rows: Float32Array, row: number, width: number): Float32Array {
  return rows.slice(row * width, (row + 1) * width);
}
