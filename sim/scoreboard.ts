// The scoreboard of a run: every answer scored once, before anything is learned from it, beside what the source model said.
//
// Owns: prequential accuracy, over all, by drift, in the newest window, and as a curve. Does not own: the stream, the cluster.

export interface Scored {
  readonly drift: string;
  readonly severity: number;
  readonly adapting: boolean;
  readonly source: boolean;
}

export interface DriftScore {
  readonly drift: string;
  readonly severity: number;
  readonly n: number;
  readonly adapting: number;
  readonly source: number;
}

interface Tally {
  n: number;
  adapting: number;
  source: number;
}

const window = 200;
const curvePoint = 50;
const curveMax = 120;

export class Scoreboard {
  readonly #all: Tally = { n: 0, adapting: 0, source: 0 };
  readonly #byDrift = new Map<string, Tally & { readonly drift: string; readonly severity: number }>();
  readonly #newest: Scored[] = [];
  readonly #curve: { readonly adapting: number; readonly source: number }[] = [];
  #point: Tally = { n: 0, adapting: 0, source: 0 };
  #worst: number | null = null;

  add(scored: Scored): void {
    count(this.#all, scored);
    count(this.#point, scored);
    const key = `${scored.drift}/${scored.severity}`;
    const { drift, severity } = scored;
    const drifted = this.#byDrift.get(key) ?? { drift, severity, n: 0, adapting: 0, source: 0 };
    this.#byDrift.set(key, drifted);
    count(drifted, scored);
    this.#newest.push(scored);
    if (this.#newest.length > window) this.#newest.shift();
    if (this.#newest.length === window) this.#worst = Math.min(this.#worst ?? 1, this.#lead());
    if (this.#point.n < curvePoint) return;
    this.#curve.push(shares(this.#point));
    if (this.#curve.length > curveMax) this.#curve.shift();
    this.#point = { n: 0, adapting: 0, source: 0 };
  }

  get scored(): number {
    return this.#all.n;
  }

  /** How many answers were right. */
  get right(): { readonly adapting: number; readonly source: number } {
    return { adapting: this.#all.adapting, source: this.#all.source };
  }

  /** Shares in 0..1; zeros before anything was scored. */
  get accuracy(): { readonly adapting: number; readonly source: number } {
    return shares(this.#all);
  }

  /** The lowest lead (adapting minus source) over any 200 answers; null before there were as many. */
  get worstWindow(): number | null {
    return this.#worst;
  }

  get newest(): { readonly adapting: number; readonly source: number } {
    const tally: Tally = { n: 0, adapting: 0, source: 0 };
    for (const scored of this.#newest) count(tally, scored);
    return shares(tally);
  }

  /** One point per 50 answers, oldest first. */
  get curve(): readonly { readonly adapting: number; readonly source: number }[] {
    return this.#curve;
  }

  get byDrift(): DriftScore[] {
    return [...this.#byDrift.values()].map((tally) => ({
      drift: tally.drift,
      severity: tally.severity,
      n: tally.n,
      ...shares(tally),
    }));
  }

  #lead(): number {
    const { adapting, source } = this.newest;
    return adapting - source;
  }
}

function count(tally: Tally, scored: Scored): void {
  tally.n += 1;
  if (scored.adapting) tally.adapting += 1;
  if (scored.source) tally.source += 1;
}

function shares({ n, adapting, source }: Tally): { readonly adapting: number; readonly source: number } {
  return n === 0 ? { adapting: 0, source: 0 } : { adapting: adapting / n, source: source / n };
}
