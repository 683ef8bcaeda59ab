// Domains: the kinds of input a model has met, each with class-balanced moments of its own.
//
// A request belongs to the domain whose signature is nearest (signature.ts), or begins a new one. In its domain, each answered request moves
// the running moments of its class, as they were before normalisation; the mean over classes says where the domain's channels are, whatever
// the mix of classes was. So a drift that comes back finds its statistics as it left them, requests of different drifts do not blur each
// other, and clean input keeps the source's. No gradient, no label.
//
// Balance over predicted classes: RoTTA (Yuan et al., CVPR 2023, CSTU) and NOTE (Gong et al., NeurIPS 2022, PBRS). Statistics between
// source and target: Schneider et al., NeurIPS 2020, eq. 3; here the target's weight is the size of the shift, so that nothing happens where
// nothing drifted, and the number of rows, so that a new domain begins at the source.
//
// Owns: the domains' signatures and moments, the choice of slot, scale and shift. Does not own: when and in which order rows are folded (the log).
//
// M1. Pure and deterministic: equal domains give equal bits of scale and shift.
// M2. A domain without rows has exactly the source's scale and shift (w = 0).
// M3. The slot is never the vote's. A vote remembers its own mistakes; letting it choose locked a drift at 0.107.
// M4. Domain 0 is home: its signature is that of clean data and never moves, and its normalisation is the source's, whatever has come. What is near
//     home by its first layer is clean, or has drifted in a way that normalisation does not mend: in an adapting home a dozen faint blurs
//     cost the next clean inputs .16. At `domainsMax` the domain unused longest makes room.
// M5. A domain whose rows turn out to be home's ends. One clean input in a thousand lies out of home's reach and begins a domain; the clean inputs
//     that lie nearer to it than to home then move it home. Three of them shared 61 % of clean digits after 25,000.

import type { Calibration } from "../calibration.js";
import type { Random } from "../clock.js";
import { argmaxAt, at } from "../numbers/softmax.js";
import { signatureInto, squaredDistance } from "./signature.js";

/** Plain state, to be snapshotted as it is. */
export interface Domains {
  /** [domains, S] running mean of the rows' signatures. */
  readonly signatures: Float32Array;
  /** [domains, classes, 2C] running mean over a class's rows of (moments - clean class moments). */
  readonly classShifts: Float32Array;
  /** [domains, classes] rows in that mean, up to classWindow. */
  readonly classRows: Uint8Array;
  /** [domains, 2C] the same over all rows, whatever their class. */
  readonly pooledShifts: Float32Array;
  /** [domains] rows in that mean, up to pooledWindow. */
  readonly pooledRows: Uint8Array;
  /** [domains] rows since the domain began; 0 = free. */
  readonly rows: Float64Array;
  /** [domains] the count of all rows when its last one came. */
  readonly lastUsed: Float64Array;
  /** [5]: rows ever placed, domains ever begun, domains ever ended, rows of another domain than the row before, and that domain. */
  readonly counts: Float64Array;
}

/** y = scale z + shift for every channel; both [C]. */
export interface Normalisation {
  readonly scale: Float32Array;
  readonly shift: Float32Array;
}

export interface Placement {
  readonly domain: number;
  readonly begun: boolean;
  /** The domain that ended with this row: it made room, or came home. */
  readonly ended: number | undefined;
}

/** Mixed traffic of ten drifts at three strengths fits; with half as many it gained a third less. */
export const domainsMax = 16;
const home = 0;
/** Home reaches less far than other domains: a drift just outside it is worth statistics of its own. As a share of the limit. */
const homeReach = 2 / 3;
/** So near to home's a domain's signature is home's own, as a share of the limit. Faint blurs and shears lie at .1 to .4, domains that clean rows moved below .08. */
const homeCore = 1 / 12;
/** Rows of one class that its running mean spans. */
const classWindow = 12;
/** Rows that the pooled mean spans. It stands for the classes that have not been seen, with the weight of one row. */
const pooledWindow = 60;
const pooledWeight = 1;
/** Rows at which a new domain's own statistics count half of what they will. */
const halfRows = 12;
/** d at which target and source weigh the same: w = d / (d + halfShift). */
const halfShift = 0.01;
/** Least share of a new row in its domain's signature. */
const signatureRate = 0.02;
/** Softness of the density gate, in units of k. */
const gateWidth = 0.01;

export function emptyDomains({ classes, channels, signature }: Calibration): Domains {
  return {
    signatures: new Float32Array(domainsMax * signature.size),
    classShifts: new Float32Array(domainsMax * classes * 2 * channels),
    classRows: new Uint8Array(domainsMax * classes),
    pooledShifts: new Float32Array(domainsMax * 2 * channels),
    pooledRows: new Uint8Array(domainsMax),
    rows: new Float64Array(domainsMax),
    lastUsed: new Float64Array(domainsMax),
    counts: new Float64Array(5),
  };
}

/** Finds or begins the domain of a row of moments [2C], and moves its signature toward the row. In place. */
export function place(domains: Domains, calibration: Calibration, moments: Float32Array): Placement {
  const signature = signatureInto(calibration, moments, roomFor(calibration));
  const nearest = nearestDomain(domains, calibration, signature);
  const placement =
    nearest === null ? begin(domains, calibration) : { domain: nearest, begun: false, ended: undefined };
  const { domain } = placement;
  const { counts } = domains;
  counts[0] = at(counts, 0) + 1;
  if (at(counts, 4) !== domain) counts[3] = at(counts, 3) + 1;
  counts[4] = domain;
  domains.rows[domain] = at(domains.rows, domain) + 1;
  domains.lastUsed[domain] = at(counts, 0);
  if (domain === home) return placement;
  const rate = Math.max(1 / at(domains.rows, domain), signatureRate);
  approach(domains.signatures, domain * signature.length, signature, rate);
  if (!isHome(domains, calibration, domain)) return placement;
  end(domains, calibration, domain);
  counts[4] = home;
  return { domain: home, begun: false, ended: domain };
}

/** In a free place, or in that of the domain unused longest (M4). */
function begin(domains: Domains, calibration: Calibration): Placement {
  domains.counts[1] = at(domains.counts, 1) + 1;
  let oldest = home + 1;
  for (let domain = home + 1; domain < domainsMax; domain++) {
    if (!isLive(domains, domain)) return { domain, begun: true, ended: undefined };
    if (at(domains.lastUsed, domain) < at(domains.lastUsed, oldest)) oldest = domain;
  }
  end(domains, calibration, oldest);
  return { domain: oldest, begun: true, ended: oldest };
}

/** Its place is free and empty. */
function end(domains: Domains, { classes, channels, signature }: Calibration, domain: number): void {
  clear(domains.signatures, domain, signature.size);
  clear(domains.classShifts, domain, classes * 2 * channels);
  clear(domains.classRows, domain, classes);
  clear(domains.pooledShifts, domain, 2 * channels);
  domains.pooledRows[domain] = 0;
  domains.rows[domain] = 0;
  domains.counts[2] = at(domains.counts, 2) + 1;
}

/** Whether the domain has come home (M5). */
function isHome(domains: Domains, { signature: { size, limit } }: Calibration, domain: number): boolean {
  let square = 0;
  for (let s = domain * size; s < (domain + 1) * size; s++) square += at(domains.signatures, s) ** 2;
  return square < homeCore * limit;
}

/** [S] of each calibration: written and read within one call. */
const rooms = new WeakMap<Calibration, Float64Array>();

function roomFor(calibration: Calibration): Float64Array {
  const known = rooms.get(calibration);
  if (known !== undefined) return known;
  const room = new Float64Array(calibration.signature.size);
  rooms.set(calibration, room);
  return room;
}

/** Null where every domain is further than the limit, or the nearest is a home out of reach. */
function nearestDomain(domains: Domains, { signature: basis }: Calibration, signature: Float64Array): number | null {
  let nearest: number | null = null;
  let least = basis.limit;
  for (let domain = 0; domain < domainsMax; domain++) {
    if (!isLive(domains, domain)) continue;
    const distance = squaredDistance(signature, domains.signatures, domain * basis.size, least);
    if (distance >= least) continue;
    nearest = domain;
    least = distance;
  }
  if (nearest === home && least > homeReach * basis.limit) return null;
  return nearest;
}

export function isLive(domains: Domains, domain: number): boolean {
  return domain === home || at(domains.rows, domain) > 0;
}

/** What one answered request says about its class. */
export interface SlotEvidence {
  /** [classes] of the model alone, from `start` on; from the first when left out. */
  readonly logits: Float32Array;
  readonly start?: number;
  /** k: mean cosine of the embedding to its 5 nearest anchors. */
  readonly density: number;
}

/**
 * The class whose moments this row moves: the predicted one with probability sigmoid((k - te) / 0.01), otherwise any, so that wrong answers
 * spread evenly instead of feeding one class.
 */
export function chooseSlot(
  { density, classes }: Pick<Calibration, "density" | "classes">,
  row: SlotEvidence,
  random: Random,
): { readonly slot: number; readonly trusted: boolean } {
  const trust = 1 / (1 + Math.exp((density.low - row.density) / gateWidth));
  if (random() < trust) return { slot: argmaxAt(row.logits, row.start ?? 0, classes), trusted: true };
  return { slot: Math.min(classes - 1, Math.floor(random() * classes)), trusted: false };
}

/** How far one input's first-layer means are from the source's: mean over its channels of (m1 - mean)^2 / variance. Its row begins at `start`. */
export function momentDistance(calibration: Calibration, moments: Float32Array, start = 0): number {
  const { firstLayerChannels, mean, variance, eps } = calibration;
  let sum = 0;
  for (let c = 0; c < firstLayerChannels; c++) {
    const shift = at(moments, start + c) - at(mean, c);
    sum += (shift * shift) / (at(variance, c) + eps);
  }
  return sum / firstLayerChannels;
}

/** Moves the running moments of the domain, and of the class in it, toward one row [2C]. In place. Home has none (M4). */
export function foldMoments(
  domains: Domains,
  calibration: Calibration,
  domain: number,
  slot: number,
  row: Float32Array,
): void {
  const { classes, channels, classMean, classSquare } = calibration;
  if (!(Number.isInteger(slot) && slot >= 0 && slot < classes)) throw new RangeError(`slot ${slot} of ${classes}`);
  if (row.length !== 2 * channels) throw new RangeError(`a row of ${row.length} moments instead of ${2 * channels}`);
  if (domain === home) return;
  const cell = domain * classes + slot;
  const classRate = 1 / counted(domains.classRows, cell, classWindow);
  const pooledRate = 1 / counted(domains.pooledRows, domain, pooledWindow);
  const clean = { start: slot * channels, channels };
  const shifts = {
    ofClass: { values: domains.classShifts, start: cell * 2 * channels, rate: classRate },
    ofAll: { values: domains.pooledShifts, start: domain * 2 * channels, rate: pooledRate },
  };
  foldHalf(row, 0, classMean, clean, shifts);
  foldHalf(row, channels, classSquare, clean, shifts);
}

interface Shifts {
  readonly values: Float32Array;
  readonly start: number;
  readonly rate: number;
}

/** First or second moments. Its arrays are of one type: read through `at`, which sees all types, they cost four times as much. */
function foldHalf(
  row: Float32Array,
  from: number,
  known: Float32Array,
  { start, channels }: { readonly start: number; readonly channels: number },
  { ofClass, ofAll }: { readonly ofClass: Shifts; readonly ofAll: Shifts },
): void {
  const [classAt, allAt] = [ofClass.start + from, ofAll.start + from];
  for (let c = 0; c < channels; c++) {
    const shift = (row[from + c] ?? Number.NaN) - (known[start + c] ?? Number.NaN);
    toward(ofClass.values, classAt + c, shift, ofClass.rate);
    toward(ofAll.values, allAt + c, shift, ofAll.rate);
  }
}

/**
 * Scale and shift that a domain asks for. Per class c with n_c rows, D_c = (n_c classShift_c + pooledShift) / (n_c + 1); D = mean over
 * classes of D_c, split into D1, D2 for first and second moments; d = mean over channels of D1^2 / variance,
 * w = d / (d + 0.01) n / (n + 12) with n the rows of the domain:
 *   mu = mean + w D1;  var = variance + w D2 - (2 mean w D1 + (w D1)^2)   [= M2 - mu^2]
 *   scale = gamma / sqrt(var + eps);  shift = beta - mu scale
 */
export function normalisation(domains: Domains, calibration: Calibration, domain: number): Normalisation {
  const { channels, mean, variance, eps } = calibration;
  const rows = at(domains.pooledRows, domain);
  if (rows === 0 || domain === home) return knownSource(calibration);
  const shifts = balancedShifts(domains, calibration, domain);
  let distance = 0;
  for (let c = 0; c < channels; c++) distance += at(shifts, c) ** 2 / (at(variance, c) + eps);
  distance /= channels;
  const weight = ((distance / (distance + halfShift)) * rows) / (rows + halfRows);
  const mu = new Float64Array(channels);
  const spread = new Float64Array(channels);
  for (let c = 0; c < channels; c++) {
    const first = weight * at(shifts, c);
    mu[c] = at(mean, c) + first;
    spread[c] = at(variance, c) + weight * at(shifts, channels + c) - (2 * at(mean, c) * first + first * first);
  }
  return affine(calibration, mu, spread);
}

/** D: [2C] */
function balancedShifts(domains: Domains, { classes, channels }: Calibration, domain: number): Float64Array {
  const length = 2 * channels;
  const shifts = new Float64Array(length);
  const { pooledShifts, classShifts } = domains;
  const ofAll = domain * length;
  for (let slot = 0; slot < classes; slot++) {
    const cell = domain * classes + slot;
    const rows = at(domains.classRows, cell);
    const own = rows / (rows + pooledWeight) / classes;
    const shared = pooledWeight / (rows + pooledWeight) / classes;
    const start = cell * length;
    for (let i = 0; i < length; i++)
      shifts[i] =
        (shifts[i] ?? Number.NaN) +
        own * (classShifts[start + i] ?? Number.NaN) +
        shared * (pooledShifts[ofAll + i] ?? Number.NaN);
  }
  return shifts;
}

export function sourceNormalisation(calibration: Calibration): Normalisation {
  return affine(calibration, Float64Array.from(calibration.mean), Float64Array.from(calibration.variance));
}

/** Of each calibration, once: it never changes, and home asks for it after every batch. Not for writing. */
const sources = new WeakMap<Calibration, Normalisation>();

function knownSource(calibration: Calibration): Normalisation {
  const known = sources.get(calibration) ?? sourceNormalisation(calibration);
  sources.set(calibration, known);
  return known;
}

function affine(calibration: Calibration, mu: Float64Array, spread: Float64Array): Normalisation {
  const { channels, gamma, beta, eps } = calibration;
  const scale = new Float32Array(channels);
  const shift = new Float32Array(channels);
  for (let c = 0; c < channels; c++) {
    // Few rows can push the estimate below zero; a channel that does not vary must not blow up.
    const factor = at(gamma, c) / Math.sqrt(Math.max(0, at(spread, c)) + eps);
    scale[c] = factor;
    shift[c] = at(beta, c) - at(mu, c) * factor;
  }
  return { scale, shift };
}

/** Counts one more, up to `most`; the count. */
function counted(counts: Uint8Array, index: number, most: number): number {
  const count = Math.min(at(counts, index) + 1, most);
  counts[index] = count;
  return count;
}

function toward(values: Float32Array, index: number, target: number, rate: number): void {
  const value = values[index] ?? Number.NaN;
  values[index] = value + rate * (target - value);
}

function approach(values: Float32Array, start: number, target: Float64Array, rate: number): void {
  for (let i = 0; i < target.length; i++) toward(values, start + i, at(target, i), rate);
}

function clear(values: Float32Array | Uint8Array, block: number, length: number): void {
  values.fill(0, block * length, (block + 1) * length);
}
